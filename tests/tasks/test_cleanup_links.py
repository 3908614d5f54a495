"""Cleanups among links, in folders that resist, and between finding and removing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from models.db import Database
from models.files import FileStore
from models.imports import KIND as IMPORT
from models.jobs import lifecycle
from tasks import cleanup, sweep_files, upkeep
from tasks.process import Process
from tasks.sweeps import Candidate, Count, Ground
from tests import making
from tests.tasks.cleaning import (
    OLD,
    YOUNG,
    age,
    clean,
    clip,
    days_ago,
    everything,
    keys,
    link,
    put,
    went,
    write,
)

# --- Links and folders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tmp", "imports", "imports/uploads", "imports/cache", "files", "files/unfinished"])
def test_a_folder_of_ours_that_is_a_link_is_left_alone_and_told(
    root: Path, process: Process, database: Database, elsewhere: Path, name: str
) -> None:
    folder = root / name
    folder.parent.mkdir(exist_ok=True)
    if folder.is_dir():
        folder.rename(root / "away")
    for inner in ("ab/x", "unfinished/x", "x"):
        write(elsewhere / inner, OLD)
    folder.symlink_to(elsewhere)
    before = everything(elsewhere)
    done = clean(database, hours=0)
    assert everything(elsewhere) == before
    assert went(done) == {}
    told = [sentence for sentence in done["errors"] if "a link leads elsewhere" in sentence]
    assert any(sentence.startswith(f"{name}: ") for sentence in told)


@pytest.fixture
def disk(
    root: Path, process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Another disk, on which an operator put the stored files before anything ran."""
    disk = tmp_path_factory.mktemp("disk")
    (root / "files").rename(root / "away")
    link(root / "files", disk)
    monkeypatch.setattr(process, "files", FileStore(root / "files"))
    return disk


def test_stored_files_on_another_disk_go_as_a_dry_run_says(
    root: Path, process: Process, database: Database, disk: Path, elsewhere: Path
) -> None:
    clip(process, database, "expired", wav="e" * 10)
    fresh = put(process, "nobody's yet", YOUNG)
    put(process, "nobody's")
    write(disk / "unfinished" / "draft", OLD)
    write(disk / "go" / "somebody's", OLD)
    link(disk / "zz", elsewhere)
    dry = clean(database, dry=True)
    real = clean(database)
    assert went(real) == went(dry)
    assert {name: files for name, (files, _, _) in went(real).items()} == {
        "expired_speech": 1,
        "files_without_rows": 1,
        "unfinished_files": 1,
    }
    assert (dry["errors"], real["errors"]) == ([], [])
    assert everything(disk) == {f"{fresh[:2]}/{fresh}", "go/somebody's", "zz"}
    assert (elsewhere / "precious").exists()


def test_speech_beyond_the_cache_s_size_goes_from_another_disk(
    root: Path, process: Process, database: Database, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(process, database, "old", wav="e" * 10)
    smaller = dataclasses.replace(process.settings, speech_cache_max_bytes=1)
    monkeypatch.setattr(process, "settings", smaller)
    upkeep.trim_cache()
    assert (keys(database), everything(disk)) == (set(), set())


def test_a_file_on_another_disk_that_resists_is_shown_as_it_lies_in_our_folder(
    process: Process, database: Database, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = put(process, "stray")

    def refuse(path: Path, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert clean(database)["errors"] == [f"files/{stray[:2]}/{stray}: Permission denied"]


def test_a_link_between_our_own_folders_is_not_followed_either(
    root: Path, process: Process, database: Database
) -> None:
    write(root / "log" / "web.log", OLD)
    write(root / "secret.key", OLD)
    link(root / "tmp", root / "log")
    clean(database, hours=0)
    assert {"log/web.log", "secret.key"} <= everything(root)


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    root: Path, process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        write(root / "tmp" / f"stuck {number}", OLD)
    write(root / "tmp" / "loose", OLD)
    stray = put(process, "stray")
    unlink = Path.unlink

    def stubborn(path: Path, **options: Any) -> None:
        if path.name.startswith("stuck"):
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", stubborn)
    done = clean(database)
    assert (done["error_count"], len(done["errors"])) == (30, cleanup.ERRORS_SHOWN)
    assert all(sentence.startswith("tmp/stuck") and "Permission denied" in sentence for sentence in done["errors"])
    assert not (root / "tmp" / "loose").exists()
    assert not process.files.exists(stray)
    assert done["files_removed"] == 2


def test_a_sweep_that_the_database_refuses_is_told_and_the_rest_is_made(
    root: Path, process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(session: Any, **_: Any) -> Any:
        return session.execute(select(func.pg_no_such_function()))

    monkeypatch.setattr("models.speech_expiry.expired", refuse)
    stray = put(process, "stray")
    done = clean(database)
    assert done["errors"] == ["expired_speech: the database refused (UndefinedFunction)"]
    assert not process.files.exists(stray)


def test_folders_left_empty_go_with_the_next_cleanup(root: Path, process: Process, database: Database) -> None:
    write(root / "tmp" / "a" / "b" / "c", OLD)
    (root / "tmp" / "fresh").mkdir()
    clean(database, "temp")
    for folder in ("tmp/a/b", "tmp/a"):
        age(root / folder, OLD)
    clean(database, "temp")
    assert not (root / "tmp" / "a" / "b").exists()
    assert (root / "tmp" / "fresh").exists()


# --- Between finding and removing ---------------------------------------------------------------------------------


def found(process: Process, find: Callable[[Ground], Iterator[Candidate]]) -> Candidate:
    """The one thing that a sweep finds."""
    (candidate,) = find(Ground(process, now=time.time(), failed=pytest.fail))
    return candidate


def test_a_file_that_is_put_again_just_before_it_goes_stays(root: Path, process: Process, database: Database) -> None:
    stray = put(process, "stray")
    candidate = found(process, sweep_files.without_rows)
    assert process.files.put(b"stray") == stray
    assert candidate.remove() == Count()
    assert process.files.exists(stray)


def test_a_file_that_another_took_is_not_counted(root: Path, process: Process, database: Database) -> None:
    path = write(root / "tmp" / "x", OLD)
    candidate = found(process, sweep_files.temporary)
    path.unlink()
    assert (candidate.count, candidate.remove()) == (Count(1, 5), Count())


def test_a_folder_that_became_a_link_in_between_leads_nowhere(
    root: Path, process: Process, database: Database, elsewhere: Path
) -> None:
    write(root / "tmp" / "deep" / "precious", OLD)
    file = found(process, sweep_files.temporary)
    (root / "tmp" / "deep").rename(root / "tmp" / "away")
    link(root / "tmp" / "deep", elsewhere)
    assert file.remove() == Count()
    assert (elsewhere / "precious").exists()


def test_an_import_that_is_tried_again_just_before_its_folder_goes_keeps_it(
    root: Path, process: Process, database: Database
) -> None:
    job = making.submit(database, kind=IMPORT, params={"asked": {}})
    making.change(database, job, state="failed", finished_at=func.now() - days_ago(1))
    write(root / "imports" / job.id / "download.json", OLD)
    age(root / "imports" / job.id, OLD)
    candidate = found(process, sweep_files.of_imports)
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=0)
    assert candidate.remove() == Count()
    assert (root / "imports" / job.id / "download.json").exists()
