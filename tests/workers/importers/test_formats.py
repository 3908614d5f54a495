"""Which format it is, what is refused in every one of them, and what a large one costs."""

from __future__ import annotations

import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.workers.importers import building
from workers.errors import BadInput, Stopped
from workers.importers import formats, source


@pytest.mark.parametrize("name", ["x.zip", "x.pdf", "x"])
def test_the_format_is_known_by_content_whatever_the_name(tmp_path: Path, name: str) -> None:
    for files, title in [
        (building.epub_2(), "Die Gezeiten"),
        (building.cartridge(), "Soils"),
        (building.ocw(), "Waves"),
    ]:
        assert building.read(building.zipped(tmp_path / name, files), name=name).title == title


def test_entities_of_a_page_are_not_opened(tmp_path: Path) -> None:
    entity = '<!DOCTYPE html [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    page = f'{entity}<title>a &f; b</title><nav epub:type="toc"><ol><li><a href="map.xhtml">&f;</a></li></ol></nav>'
    draft = building.read(building.zipped(tmp_path / "x.epub", building.epub_3() | {"OEBPS/nav.xhtml": page}))
    assert ("The map" not in repr(draft), "&f;" in repr(draft.sections)) == (True, True)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'a\.md' is empty"):
        building.read(building.spread(tmp_path, {"a.md": ""}) / "a.md")


def test_progress_is_told_and_reading_stops_when_nobody_wants_it(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "x.zip", {f"{number}.md": f"# {number}\n\nx" for number in range(10)})
    told: list[float] = []
    formats.read(path, "x.zip", None, told.append)
    assert told == sorted(told)
    assert (len(told) > 10, told[-1]) == (True, 1.0)

    def stop(done: float) -> None:
        if done >= 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        formats.read(path, "x.zip", None, stop)


MEASURED = """
import re, sys, time
from pathlib import Path
from workers.importers import formats, source
began = time.process_time()
draft = formats.read(Path(sys.argv[1]), "large.epub", None, lambda done: None)
took = time.process_time() - began
# What getrusage says is not less than what the process had that started this one.
most = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(len(draft.sections), took, most)
"""


def large_epub(path: Path, megabytes: int) -> Path:
    """A book of 2,000 pages in German, 20 MB of text, and pictures up to a size."""
    chance = random.Random(7)
    words = [
        f"{start}{end}"
        for start in ("Wä", "Strö", "flu", "Grö", "dün", "an", "ver")
        for end in ("sser", "mung", "ß", "en")
    ]
    files = building.epub_3()
    items, order, contents = [], [], []
    for number in range(2000):
        text = "".join(f"<p>{' '.join(chance.choices(words, k=80))}.</p>" for _ in range(18))
        files[f"OEBPS/p{number}.xhtml"] = building.xhtml(f"Seite {number}", f"<h2 id='a'>Seite {number}</h2>{text}")
        items.append(f'<item id="p{number}" href="p{number}.xhtml" media-type="application/xhtml+xml"/>')
        order.append(f'<itemref idref="p{number}"/>')
        contents.append(f'<li><a href="p{number}.xhtml#a">Seite {number}</a></li>')
    package = building.OPF_3.replace("</manifest>", "".join(items) + "</manifest>")
    files["OEBPS/package.opf"] = package.replace("</spine>", "".join(order) + "</spine>")
    files["OEBPS/nav.xhtml"] = building.NAV_3.replace("<li><span>", "".join(contents) + "<li><span>", 1)
    building.zipped(path, files)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(max(0, (megabytes << 20) - path.stat().st_size) >> 19):
            archive.writestr(f"OEBPS/Images/{number}.png", chance.randbytes(1 << 19))
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell how much memory was used")
def test_an_archive_of_fifty_megabytes_is_read_in_seconds_and_little_memory(tmp_path: Path) -> None:
    path = large_epub(tmp_path / "large.epub", 50)
    assert path.stat().st_size > 49 << 20
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, timeout=100, check=True
    )
    sections, seconds, megabytes = map(float, ran.stdout.split())
    print(f"{sections:g} sections in {seconds:.1f} s of CPU, at most {megabytes:.0f} MiB")
    assert sections == 2005
    assert seconds < 10
    assert megabytes < 300


def test_the_encoding_that_came_with_a_text_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("Луна ходит вокруг Земли, и моря ходят за нею.".encode("koi8-r"))
    draft = formats.read(path, "text", "text/plain; charset=KOI8-R", lambda share: None)
    assert "Луна ходит вокруг Земли" in draft.sections[0].content


def test_every_page_names_the_same_versions_of_a_cartridge() -> None:
    (title,) = (each.title for each in source.FORMATS if each.name == "cartridge")
    assert title in formats.KNOWN
    assert title in (Path(__file__).parents[3] / "docs" / "imports.md").read_text()
