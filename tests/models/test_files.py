"""The store: what is put is whole and stays, what failed leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models import files
from models.files import FileStore
from tests import making

CONTENT = b"RIFF and so on" * 1000
NAME = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def store(root: Path) -> FileStore:
    return FileStore(root)


def kept(root: Path) -> set[str]:
    """Every file below the store's folder, finished or not."""
    return {path.name for path in root.rglob("*") if not path.is_dir()}


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def none(names: list[str]) -> set[str]:
    """No row points to any of them."""
    return set()


def test_a_file_is_kept_under_the_hash_of_its_content(store: FileStore, root: Path) -> None:
    assert store.put(CONTENT) == NAME
    assert store.path(NAME).read_bytes() == CONTENT
    assert (store.size(NAME), store.exists(NAME)) == (len(CONTENT), True)
    assert kept(root) == {NAME}


def test_an_empty_file_is_a_file(store: FileStore) -> None:
    assert store.size(store.put(b"")) == 0


def test_the_same_content_is_kept_once_and_made_fresh(store: FileStore, root: Path) -> None:
    store.put(CONTENT)
    age(store.path(NAME), 7200)
    first = store.path(NAME).stat()
    assert store.put(CONTENT) == NAME
    second = store.path(NAME).stat()
    assert second.st_ino == first.st_ino
    # A sweep that runs now must not take what a row is about to point to.
    assert list(store.strays(none)) == []
    assert kept(root) == {NAME}


def test_many_threads_that_put_the_same_leave_one_whole_file(store: FileStore, root: Path) -> None:
    assert set(making.at_once(16, lambda _: store.put(CONTENT))) == {NAME}
    assert kept(root) == {NAME}
    assert store.path(NAME).read_bytes() == CONTENT


def test_a_reader_never_sees_half_a_file(store: FileStore) -> None:
    contents = [bytes([number]) * 500_000 for number in range(40)]
    names = [hashlib.sha256(content).hexdigest() for content in contents]

    def act(number: int) -> None:
        if number == 0:
            for content in contents:
                store.put(content)
            return
        unseen = set(range(40))
        ends = time.monotonic() + 20
        while unseen:
            assert time.monotonic() < ends
            for at in [at for at in unseen if store.exists(names[at])]:
                assert store.size(names[at]) == 500_000
                assert store.path(names[at]).read_bytes() == contents[at]
                unseen.remove(at)

    making.at_once(2, act)


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_put_returns(
    store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append(f"fsync {str(target.relative_to(root)).split('/')[0]}")
        if not target.is_dir():
            # All of it, not what happened to be flushed.
            assert target.read_bytes() == CONTENT
        fsync(descriptor)

    def watched_replace(path: Path, target: Path) -> Any:
        steps.append(f"rename to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    store.put(CONTENT)
    # The store itself first: it has a folder it did not have before.
    assert steps == ["fsync .", "fsync unfinished", f"rename to {NAME}", f"fsync {NAME[:2]}"]


@contextmanager
def small_disk(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this size; writing more fails half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_half_way_leaves_nothing(store: FileStore, root: Path) -> None:
    with small_disk(4096), pytest.raises(OSError, match="too large"):
        store.put(CONTENT)
    assert kept(root) == set()
    assert store.put(CONTENT) == NAME


@pytest.mark.parametrize("where", ["open", "fsync", "rename"])
def test_a_full_disk_leaves_nothing(store: FileStore, root: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owner, name = {"open": (Path, "open"), "fsync": (os, "fsync"), "rename": (Path, "replace")}[where]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(OSError, match="No space left"):
            store.put(CONTENT)
    assert kept(root) == set()
    assert not store.exists(NAME)


BAD_NAMES = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    NAME[:63],
    NAME + "0",
    NAME.upper(),
    NAME[:-1] + "/",
    NAME[:-1] + "g",
    NAME[:-1] + "\n",
    NAME[:-1] + "\0",
    "../" + NAME[3:],
    "٠" * 64,
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_no_name_of_ours_is_refused(store: FileStore, root: Path, name: str) -> None:
    store.put(CONTENT)
    actions = (store.path, store.size, store.exists, lambda bad: store.remove([bad]))
    for action in actions:
        with pytest.raises(ValueError, match="is not the name of a stored file"):
            action(name)
    assert kept(root) == {NAME}


def test_removing_what_is_not_there_is_no_error(store: FileStore, root: Path) -> None:
    other = store.put(b"other")
    store.put(CONTENT)
    store.remove([NAME, hashlib.sha256(b"never").hexdigest()])
    assert kept(root) == {other}


def test_files_without_rows_are_strays_once_the_grace_is_over(store: FileStore) -> None:
    known, stray, fresh = (store.put(content) for content in (b"known", b"stray", b"fresh"))
    age(store.path(known), files.GRACE_SECONDS + 60)
    age(store.path(stray), files.GRACE_SECONDS + 60)
    age(store.path(fresh), files.GRACE_SECONDS - 60)
    assert list(store.strays({known}.intersection)) == [store.path(stray)]


def test_drafts_nobody_finished_are_found_once_the_grace_is_over(store: FileStore, root: Path) -> None:
    old, young = root / "unfinished" / f"{NAME}.1.2", root / "unfinished" / f"{NAME}.3.4"
    for draft in (old, young):
        draft.write_bytes(b"half")
    age(old, files.GRACE_SECONDS + 60)
    assert list(store.drafts()) == [old]
    assert list(store.strays(none)) == []


def test_the_grace_can_be_chosen(store: FileStore) -> None:
    store.put(CONTENT)
    age(store.path(NAME), 10)
    assert list(store.strays(none, older_than_seconds=20)) == []
    assert list(store.strays(none, older_than_seconds=5)) == [store.path(NAME)]


def test_a_stray_that_is_put_again_while_its_rows_are_looked_for_is_none(store: FileStore) -> None:
    store.put(CONTENT)
    age(store.path(NAME), files.GRACE_SECONDS + 60)

    def put_again(names: list[str]) -> set[str]:
        # The row that it is put for is not there yet.
        store.put(CONTENT)
        return set()

    assert list(store.strays(put_again)) == []


def test_a_file_that_goes_while_strays_are_looked_for_is_passed_over(store: FileStore, root: Path) -> None:
    """A draft gets its name, another sweep removes a file: both happen between listing a folder and looking."""
    store.put(CONTENT)
    age(store.path(NAME), files.GRACE_SECONDS + 60)
    for folder in ("unfinished", "ab"):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "gone").symlink_to(root / "nowhere")
    assert list(store.strays(none)) == [store.path(NAME)]


def test_what_lies_behind_a_link_is_nobodys_stray(store: FileStore, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"not ours")
    age(outside / "precious", files.GRACE_SECONDS + 60)
    (root / "ab").symlink_to(outside)
    (root / "cd").mkdir()
    (root / "cd" / "link").symlink_to(outside / "precious")
    (root / "unfinished" / "link").symlink_to(outside / "precious")
    for link in (root / "cd" / "link", root / "unfinished" / "link"):
        os.utime(link, (0, 0), follow_symlinks=False)
    assert list(store.strays(none)) == []
    assert list(store.drafts()) == []


def test_a_file_of_another_name_than_ours_is_nobodys_stray(store: FileStore, root: Path) -> None:
    other = "0" * 64
    for path in (root / "go" / "main", root / NAME[:2] / "notes", root / ("cd" if other[:2] != "cd" else "ab") / other):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"somebody's")
        age(path, files.GRACE_SECONDS + 60)
    assert list(store.strays(none)) == []


def test_a_folder_that_is_a_link_is_the_store_where_it_leads(tmp_path: Path) -> None:
    disk, root = tmp_path / "disk", tmp_path / "files"
    disk.mkdir()
    root.symlink_to(disk)
    store = FileStore(root)
    assert store.path(store.put(CONTENT)) == disk.resolve() / NAME[:2] / NAME
    assert store.root == disk.resolve()


def test_a_link_that_leads_nowhere_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "files").symlink_to(tmp_path / "away" / "files")
    with pytest.raises(FileExistsError):
        FileStore(tmp_path / "files")
    assert not (tmp_path / "away").exists()


def test_a_store_without_one_file_is_empty(store: FileStore) -> None:
    assert store.is_empty()
    store.put(CONTENT)
    assert not store.is_empty()


def test_two_stores_on_one_folder_are_one(root: Path) -> None:
    name = FileStore(root).put(CONTENT)
    assert FileStore(root).path(name).read_bytes() == CONTENT


def test_a_file_that_is_taken_is_whole_and_there_once(store: FileStore, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_bytes(CONTENT)
    assert store.take(path) == NAME
    assert store.path(NAME).read_bytes() == CONTENT
    assert kept(root) == {NAME}
    # On one disk it lies there once.
    assert path.stat().st_ino == store.path(NAME).stat().st_ino
    path.unlink()
    assert store.path(NAME).read_bytes() == CONTENT
    assert store.put(CONTENT) == NAME


def test_a_file_of_another_disk_is_copied(
    store: FileStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    path = tmp_path / "made"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(Path, "hardlink_to", elsewhere)
    assert store.take(path) == NAME
    assert path.stat().st_ino != store.path(NAME).stat().st_ino
    assert kept(root) == {NAME}


def test_what_cannot_be_taken_leaves_nothing(
    store: FileStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "made"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(Path, "hardlink_to", full)
    with pytest.raises(OSError, match="No space"):
        store.take(path)
    assert kept(root) == set()
