"""Archives that are made to harm, or that are broken."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.workers.importers import building
from workers.errors import BadInput
from workers.importers.archive import FolderTree, Limits, ZipTree, common_root


def refused(path: Path, limits: Limits | None = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        ZipTree(path, limits or Limits())
    return caught.value


def test_an_archive_is_read_by_the_paths_in_it(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {"a/b.md": "# B", "./c.md": "C", "__MACOSX/a/._b.md": "x", "a/.DS_Store": "x"}
    tree = ZipTree(building.zipped(tmp_path / "a.zip", files))
    assert tree.names() == ["a/b.md", "c.md"]
    assert (tree.size("a/b.md"), tree.read("a/b.md", most=3)) == (3, b"# B")
    with pytest.raises(KeyError):
        tree.read("../a.zip", most=3)
    with pytest.raises(BadInput, match="larger") as too_large:
        tree.read("a/b.md", most=2)
    assert too_large.value.code == "file_too_large"


def test_the_root_is_the_folder_that_holds_everything() -> None:
    assert common_root(["a/b.md", "a/c/d.md"]) == "a/"
    assert common_root(["a/b.md", "c.md"]) == ""
    assert common_root([]) == ""


@pytest.mark.parametrize(
    "name",
    ["../evil.md", "a/../../evil.md", "/etc/evil.md", "..\\evil.md", "\\\\host\\evil.md", "C:\\evil.md", "c:evil.md"],
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    error = refused(building.zipped(tmp_path / "evil.zip", {"good.md": "x", name: "x"}))
    assert error.code == "unsafe_archive"
    assert "leads out" in error.message


def test_a_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "nul.zip", {"page.mdX.exe": "x"})
    path.write_bytes(path.read_bytes().replace(b"page.mdX.exe", b"page.md\0.exe"))
    assert refused(path).code == "unsafe_archive"


def test_backslashes_between_folders_are_read_and_said(tmp_path: Path) -> None:
    tree = ZipTree(building.zipped(tmp_path / "windows.zip", {"part\\page.md": "# P"}))
    assert tree.names() == ["part/page.md"]
    assert "part\\page.md" in tree.notes[0]


def test_what_happens_to_many_files_is_told_once(tmp_path: Path) -> None:
    tree = ZipTree(building.zipped(tmp_path / "windows.zip", {f"part\\{number}.md": "x" for number in range(500)}))
    assert len(tree.notes) == 1
    assert tree.notes[0].endswith("and 497 more.")


def test_the_last_of_two_files_of_one_name_is_read_and_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a.md", "old")
        archive.writestr("./a.md", "new")
    tree = ZipTree(tmp_path / "twice.zip")
    assert tree.read("a.md", most=9) == b"new"
    assert "twice" in tree.notes[0]


def test_names_in_utf_8_that_do_not_say_so_are_repaired_and_said(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "names.zip", {"xxxxx.md": "x"})
    path.write_bytes(path.read_bytes().replace(b"xxxxx.md", "\u00e9t\u00e9.md".encode()))
    tree = ZipTree(path)
    assert tree.names() == ["été.md"]
    assert "été.md" in tree.notes[0]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("page.md")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    assert refused(tmp_path / "link.zip").code == "unsafe_archive"


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "page.md").symlink_to("/etc/hostname")
    with pytest.raises(BadInput, match="link"):
        FolderTree(tmp_path / "course")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {f"{number}.md": "" for number in range(11)}
    assert "more than 10 files" in refused(building.zipped(tmp_path / "many.zip", files), Limits(entries=10)).message
    with pytest.raises(BadInput, match="more than 10 files"):
        FolderTree(building.spread(tmp_path / "many", files), Limits(entries=10))


def test_a_directory_larger_than_that_of_any_course_is_not_even_read(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {f"{number}.md": "" for number in range(100)}
    path = building.zipped(tmp_path / "many.zip", files)
    assert "files in it" in refused(path, Limits(directory_bytes=1000)).message


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "bomb.zip", {"page.md": bytes(20 << 20)})
    assert path.stat().st_size < 100_000
    error = refused(path)
    assert (error.code, "20971520 bytes" in error.message) == ("unsafe_archive", True)


def test_a_bomb_of_many_small_files_is_refused(tmp_path: Path) -> None:
    files: dict[str, building.Content] = {f"{number}.md": bytes(3 << 20) for number in range(12)}
    assert refused(building.zipped(tmp_path / "bomb.zip", files)).code == "unsafe_archive"


def test_a_bomb_in_a_bomb_is_never_opened(tmp_path: Path) -> None:
    inner = building.zipped(tmp_path / "inner.zip", {"page.md": bytes(20 << 20)}).read_bytes()
    path = building.zipped(tmp_path / "outer.zip", {f"{number}.zip": inner for number in range(20)})
    with pytest.raises(BadInput, match=r"holds files with \.zip") as caught:
        building.read(path)
    assert caught.value.code == "unknown_format"


def test_a_bomb_that_lies_of_its_size_grows_no_larger_than_it_says(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "liar.zip", {"page.md": bytes(20 << 20)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 20 << 20), struct.pack("<L", 1000)))
    with pytest.raises(BadInput) as caught:
        ZipTree(path).read("page.md", most=10_000)
    assert caught.value.code == "damaged_archive"


def test_files_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "shared.zip", {"a.md": "some text", "b.md": "some text"})
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\1\2")
    data[second + 42 : second + 46] = struct.pack("<L", 0)
    path.write_bytes(data)
    assert "share their bytes" in refused(path).message


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = building.zipped(tmp_path / "secret.zip", {"page.md": "x"})
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1
    path.write_bytes(data)
    assert refused(path).code == "encrypted"


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_ask_for_gigabytes_are_refused(tmp_path: Path, packing: int) -> None:
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", packing) as archive:
        archive.writestr("page.md", "x")
    assert refused(tmp_path / "odd.zip").code == "unsupported_archive"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = building.zipped(tmp_path / "cut.zip", building.epub_3())
    data = path.read_bytes()
    path.write_bytes(data[: max(30, int(share * len(data)))])
    assert refused(path).code == "damaged_archive"


def test_a_damaged_file_in_an_archive_is_refused_by_name(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("page.md", "the very words")
    path = building.spread(tmp_path, {"bad.zip": packed.getvalue().replace(b"very words", b"vary words")}) / "bad.zip"
    with pytest.raises(BadInput, match=r"page\.md") as caught:
        building.read(path)
    assert caught.value.code == "damaged_archive"


def test_random_damage_never_gives_another_error(tmp_path: Path) -> None:
    whole = building.zipped(tmp_path / "whole.epub", building.epub_3()).read_bytes()
    outcomes = set()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path = building.spread(tmp_path, {"damaged.epub": bytes(damaged)}) / "damaged.epub"
        try:
            building.read(path)
            outcomes.add("read")
        except BadInput as error:
            outcomes.add(error.code)
    assert {"read", "damaged_archive"} <= outcomes
