"""Archives that are made to harm, or that are broken."""

from __future__ import annotations

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
