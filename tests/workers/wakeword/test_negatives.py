"""The negative cache: read once, whatever happens in between, with whose it is and what it may be used for."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from workers.errors import BadInput, RetryLater, Stopped
from workers.wakeword.negative_sound import g722
from workers.wakeword.negatives import NegativeCache
from workers.wakeword.prompts import INSTALLED, download, sources

pytestmark = pytest.mark.slow

COPYRIGHT = """Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2003-2010, Allison Smith
License: CC-BY-SA-3.0

Files: it-*
Copyright: 2012 Carlo Flora
Comment: Recorded by Carlo.
License: CC-BY-3.0

Files: debian/*
Copyright: 2010, A Packager
License: GPL-2+
"""


def tone(seconds: float, hertz: float = 440.0) -> NDArray[np.int16]:
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (9_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def as_g722(pcm: NDArray[np.int16]) -> bytes:
    encoder = av.CodecContext.create("g722", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "s16"
    encoder.open()
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = 16_000
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def package(path: Path, speaker: str, prompts: int = 12) -> Path:
    """A package as Debian's are: an ``ar`` archive of three members."""
    tar = io.BytesIO()
    language = speaker[:2]
    with tarfile.open(fileobj=tar, mode="w:xz") as archive:
        files = {f"./usr/share/doc/asterisk-core-sounds-{language}-g722/copyright": COPYRIGHT.encode()}
        for number in range(prompts):
            files[f"./usr/share/asterisk/sounds/{speaker}/digits/{number:02}.g722"] = as_g722(tone(3.0, 300 + number))
        files[f"./usr/share/asterisk/sounds/{speaker}/silence/5.g722"] = as_g722(tone(5.0) * 0)
        files[f"./usr/share/asterisk/sounds/{speaker}/beep.g722"] = as_g722(tone(0.5))
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        members = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", tar.getvalue())]
        for name, content in members:
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    return path


def nothing(share: float, phase: str) -> None:
    assert 0 <= share <= 1


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    for speaker in ("en_US_f_Allison", "it_IT_m_Carlo"):
        package(folder / f"{speaker}.deb", speaker)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> NegativeCache:
    return NegativeCache(tmp_path / "cache")


def test_bare_g722_is_two_samples_a_byte_and_the_sound_that_was_put_in() -> None:
    content = as_g722(tone(0.5))
    heard = g722(content)
    assert len(heard) == 2 * len(content) == 8_000
    # Its filters hold 22 samples back.
    assert np.corrcoef(tone(0.5)[2_000:7_000], heard[2_022:7_022])[0, 1] > 0.99
    assert len(g722(b"")) == 0


def test_packages_name_speaker_licence_and_use_and_leave_out_what_is_no_speech(packages: Path) -> None:
    english, italian = sources(packages)
    assert (english.name, english.family, english.speaker, english.split) == (
        *("prompts-en", "prompts-en", "Allison", "test"),
    )
    assert (english.licence, english.credit) == ("CC-BY-SA-3.0", "2003-2010, Allison Smith")
    assert (italian.licence, italian.credit, italian.split) == ("CC-BY-3.0", "2012 Carlo Flora", "train")
    assert len(english.files) == 12


def test_a_built_cache_holds_all_the_sound_in_chunks_by_source(packages: Path, cache: NegativeCache) -> None:
    assert cache.info().chunks == 0
    assert cache.info().built_at is None
    told: list[float] = []
    info = cache.build(sources(packages), max_workers=2, report=lambda share, phase: told.append(share))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)
    assert info == cache.info()
    assert info.hours * 3600 == pytest.approx(2 * 12 * 3.0)
    assert [(each.name, each.chunks, each.unreadable) for each in info.sources] == [
        ("prompts-en", 3, 0),
        ("prompts-it", 3, 0),
    ]
    assert info.size_bytes > 2 * 36 * 32_000
    assert info.built_at is not None
    test, train = list(cache.chunks("test")), list(cache.chunks("train"))
    assert {each.family for each in test} == {"prompts-en"}
    assert {each.family for each in train} == {"prompts-it"}
    assert len(list(cache.chunks())) == 6
    assert len({each.recording for each in test}) == 3
    assert {(each.label, each.source) for each in train} == {(0, "negative")}
    assert all(10 <= len(each.samples) / 16_000 <= 15 for each in test)
    assert test[0].samples.max() == pytest.approx(9_000 / 32_768, rel=0.05)


def test_a_second_build_reads_nothing_again_and_a_new_source_is_added(
    packages: Path, cache: NegativeCache, tmp_path: Path
) -> None:
    cache.build(sources(packages), max_workers=1, report=nothing)
    before = cache.info()
    assert cache.build(sources(packages), max_workers=1, report=nothing) == before
    package(packages / "ru.deb", "ru_RU_f_Somebody", prompts=4)
    after = cache.build(sources(packages), max_workers=1, report=nothing)
    assert [each.name for each in after.sources] == ["prompts-en", "prompts-it", "prompts-ru"]
    assert after.sources[:2] == before.sources


def test_a_build_that_was_stopped_goes_on_and_nothing_is_there_twice(packages: Path, cache: NegativeCache) -> None:
    def stop(share: float, phase: str) -> None:
        if share > 0.7:
            raise Stopped

    with pytest.raises(Stopped):
        cache.build(sources(packages), max_workers=2, report=stop)
    # Only what is whole is shown.
    assert [each.name for each in cache.info().sources] == ["prompts-en"]
    info = cache.build(sources(packages), max_workers=2, report=nothing)
    assert info.hours * 3600 == pytest.approx(2 * 12 * 3.0)
    recordings = [each.recording for each in cache.chunks()]
    assert len(recordings) == len(set(recordings)) == 6


def test_clear_leaves_nothing(packages: Path, cache: NegativeCache, tmp_path: Path) -> None:
    cache.build(sources(packages), max_workers=1, report=nothing)
    cache.clear()
    assert cache.info().chunks == 0
    assert not list((tmp_path / "cache").iterdir())


def write(path: Path, seconds: float, rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 330 * time), rate)


def test_a_folder_of_sound_is_taken_by_speaker_with_its_licence_and_without_what_cannot_be_read(
    tmp_path: Path, cache: NegativeCache
) -> None:
    folder = tmp_path / "home"
    write(folder / "anna" / "one.wav", 25.0)
    write(folder / "anna" / "two.flac", 4.0, 48_000)
    write(folder / "ben" / "three.ogg", 12.0)
    (folder / "ben" / "four.mp3").write_bytes(b"this is no sound")
    (folder / "ben" / "notes.txt").write_text("not sound either")
    (folder / "LICENSE").write_text("CC0-1.0\nand so on\n")
    anna, ben = sources(folder, split="test")
    assert (anna.family, anna.speaker, anna.split, anna.licence) == ("folder-home-anna", "anna", "test", "CC0-1.0")
    info = cache.build([anna, ben], max_workers=2, report=nothing)
    assert [(each.name, each.unreadable) for each in info.sources] == [("home-anna", 0), ("home-ben", 1)]
    assert info.hours * 3600 == pytest.approx(41.0, abs=0.05)
    lengths = [len(each.samples) / 16_000 for each in cache.chunks() if each.family == "folder-home-anna"]
    assert len(lengths) == 3
    assert all(3.9 < each < 15 for each in lengths)


def test_a_folder_whose_files_have_changed_is_read_again(tmp_path: Path, cache: NegativeCache) -> None:
    folder = tmp_path / "home"
    write(folder / "one.wav", 5.0)
    cache.build(sources(folder), max_workers=1, report=nothing)
    write(folder / "two.wav", 6.0)
    info = cache.build(sources(folder), max_workers=1, report=nothing)
    assert info.hours * 3600 == pytest.approx(11.0, abs=0.05)


def test_what_is_not_there_or_no_package_or_without_sound_is_refused(tmp_path: Path, cache: NegativeCache) -> None:
    with pytest.raises(BadInput, match="there is no folder"):
        sources(tmp_path / "nowhere")
    (tmp_path / "bad.deb").write_bytes(b"!<arch>\n" + b"x" * 30)
    with pytest.raises(BadInput, match=r"bad\.deb is no Debian package"):
        sources(tmp_path / "bad.deb")
    (tmp_path / "bad.deb").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInput, match=r"bad\.deb is no Debian package"):
        sources(tmp_path / "bad.deb")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="there is no sound"):
        sources(tmp_path / "empty")
    (tmp_path / "empty" / "one.wav").write_bytes(b"no sound")
    with pytest.raises(BadInput, match="no sound in 'empty' can be read"):
        cache.build(sources(tmp_path / "empty"), max_workers=1, report=nothing)
    assert cache.info().chunks == 0


def apt_get(folder: Path, script: str) -> None:
    """Stands for Debian's program, and so for its servers."""
    folder.mkdir()
    program = folder / "apt-get"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_packages_are_fetched_once_and_only_those_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_get(tmp_path / "bin", 'echo "$2" >> asked; : > "$2_1.6.1-1_all.deb"')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = download(tmp_path / "packages", ["fr", "it"])
    assert [path.name for path in found] == [
        "asterisk-core-sounds-fr-g722_1.6.1-1_all.deb",
        "asterisk-core-sounds-it-g722_1.6.1-1_all.deb",
    ]
    assert len(download(tmp_path / "packages", ["fr", "it", "ru"])) == 3
    asked = (tmp_path / "packages" / "asked").read_text().split()
    assert asked == [f"asterisk-core-sounds-{language}-g722" for language in ("fr", "it", "ru")]


def test_what_apt_get_says_is_told_where_it_fails_and_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_get(tmp_path / "bin", 'echo "E: Unable to locate package" >&2; exit 100')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RetryLater, match="g722 cannot be fetched: E: Unable to locate package"):
        download(tmp_path / "packages", ["fr"])
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(RetryLater, match="cannot be fetched"):
        download(tmp_path / "packages", ["fr"])


def test_the_real_prompts_are_two_hours_of_four_people_under_free_licences(cache: NegativeCache) -> None:
    folder = Path(os.environ.get("ASTERISK_PROMPTS", INSTALLED))
    if not folder.is_dir():
        pytest.skip("no asterisk-core-sounds-*-g722 here: install them, or name a folder of them in ASTERISK_PROMPTS")
    found = sources(folder)
    info = cache.build(found, max_workers=2, report=nothing)
    assert {each.speaker for each in info.sources} <= {"Allison", "June", "Carlo", "IvrvoiceRU"}
    for each in info.sources:
        assert each.licence.startswith("CC-BY")
        assert each.seconds > 20 * 60
        assert each.unreadable == 0
        assert (each.split == "test") == (each.language in ("en", "es"))
