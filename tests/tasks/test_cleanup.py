"""Cleanups: what goes, what stays, dry and real, alone and beside others."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from models import cleanups, curriculum_assets, speech_clips, webhooks
from models.curricula import Curriculum
from models.curriculum_assets import CurriculumAsset, NewAsset
from models.db import Database
from models.files import GRACE_SECONDS, FileStore
from models.imports import KEPT_SECONDS
from models.imports import KIND as IMPORT
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem
from models.jobs.tables import Job
from models.metrics.hours import MetricHour
from models.speech_clips import SpeechClip
from models.speech_pins import SpeechPin
from models.speech_renditions import Form, MadeFile, SpeechRendition
from tasks import cleanup, run, sweep_files
from tasks.cleanup import SWEEPS, sweeps_of
from tasks.process import Process
from tasks.sweeps import Candidate, Count, Ground
from tests import making

OLD, YOUNG = 40 * 86400.0, 60.0
Result = dict[str, Any]


@pytest.fixture
def root(process: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of everything that this worker keeps."""
    monkeypatch.setattr(process, "settings", dataclasses.replace(process.settings, var_dir=tmp_path))
    monkeypatch.setattr(process, "files", FileStore(tmp_path / "files"))
    return tmp_path


def age(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def write(path: Path, seconds: float, content: bytes = b"12345") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return age(path, seconds)


def put(process: Process, content: str, seconds: float = OLD) -> str:
    name = process.files.put(content.encode())
    age(process.files.path(name), seconds)
    return name


def clip(process: Process, database: Database, name: str, *, days: float = 40, **files: str) -> str:
    """The key of a clip used so many days ago; ``files`` are what its renditions hold, by their formats."""
    made = [MadeFile(Form(form), put(process, content), len(content)) for form, content in files.items()]
    return making.make_clip(database, making.spec(name), *made, last_used_at=func.now() - timedelta(days=days))


def begin(database: Database, target: str = "all", *, hours: float | None = None, dry: bool = False) -> Job:
    params = cleanups.params(target, hours, dry_run=dry)
    return making.submit(database, kind=cleanups.KIND, params=params, doorbells=0)


def clean(database: Database, target: str = "all", *, hours: float | None = None, dry: bool = False) -> Result:
    """What a cleanup says it did, once a worker has done it."""
    job = begin(database, target, hours=hours, dry=dry)
    run.run_slice(cleanups.KIND, job.id)
    done = making.read(database, job)
    assert done.state == "succeeded", done.error_message
    return cleanups.report(done)


def went(result: Result) -> dict[str, tuple[int, int, int]]:
    """What each sweep removed, where it removed anything: files, bytes, rows."""
    found = {name: (each["files"], each["bytes"], each["rows"]) for name, each in result["sweeps"].items()}
    return {name: counts for name, counts in found.items() if any(counts)}


def everything(root: Path) -> set[str]:
    """Every file and link below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


def keys(database: Database) -> set[str]:
    with database.transaction() as session:
        return set(session.scalars(select(SpeechClip.key)))


# --- The whole ----------------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is none of ours, with an old file in it."""
    folder = tmp_path_factory.mktemp("outside")
    write(folder / "precious", OLD)
    return folder


def test_a_dry_run_and_a_real_one_count_the_same_and_only_what_nobody_needs_goes(
    root: Path, process: Process, database: Database, outside: Path
) -> None:
    # Speech: expired, fresh, pinned, being made, promised by a job that is not done.
    expired = clip(process, database, "expired", wav="e" * 10, flac="f" * 20)
    fresh = clip(process, database, "fresh", days=1, wav="g" * 10)
    pinned = clip(process, database, "pinned", wav="p" * 10)
    making.pin(database, pinned)
    promised = clip(process, database, "promised", wav="q" * 10)
    making.submit(database, items=[NewItem({}, {"clip": promised}), NewItem({})])
    with database.transaction() as session:
        speech_clips.claim(session, making.spec("making"), node="a", lease_seconds=60)
        at_work = making.spec("making").key
        session.execute(update(SpeechClip).where(SpeechClip.key == at_work).values(last_used_at=func.now() - _days(90)))
    # Files without rows, rows without files, temporary files, links that lead out of the house.
    stray, young = put(process, "nobody's"), put(process, "about to be used", YOUNG)
    lost = clip(process, database, "lost", days=1, wav="lost")
    process.files.remove([_file_of(database, lost)])
    _make_older(database)
    write(root / "files" / "unfinished" / "draft", OLD)
    write(root / "tmp" / "deep" / "old", GRACE_SECONDS + 60)
    write(root / "tmp" / "new", GRACE_SECONDS - 60)
    age(_link(root / "tmp" / "link", outside / "precious"), OLD)
    age(_link(root / "tmp" / "folder", outside), OLD)
    _link(root / "files" / "zz", outside)
    write(root / "imports" / "cache" / "page", OLD)
    write(root / "imports" / "uploads" / "sent", OLD)
    before = everything(root)

    dry = clean(database, dry=True)
    assert everything(root) == before
    assert keys(database) == {expired, fresh, pinned, promised, at_work, lost}
    real = clean(database)

    assert went(real) == went(dry)
    assert went(real) == {
        "expired_speech": (2, 30, 3),
        "files_without_rows": (1, 8, 0),
        "unfinished_files": (1, 5, 0),
        "temporary_files": (3, 5 + len(str(outside / "precious")) + len(str(outside)), 0),
        "import_folders": (1, 5, 0),
        "fetched_pages": (1, 5, 0),
        "speech_without_files": (0, 0, 2),
    }
    for name in ("files_removed", "bytes_freed", "rows_removed"):
        assert real[name] == dry[name]
    assert (dry["errors"], real["errors"], dry["dry_run"], real["dry_run"]) == ([], [], True, False)
    assert keys(database) == {fresh, pinned, promised, at_work}
    left = everything(root)
    assert before - left == {
        *(f"files/{name[:2]}/{name}" for name in (stray, *_names("e" * 10, "f" * 20))),
        *("files/unfinished/draft", "tmp/deep/old", "tmp/link", "tmp/folder"),
        *("imports/cache/page", "imports/uploads/sent"),
    }
    assert {"tmp/new", f"files/{young[:2]}/{young}", "files/zz"} <= left
    assert (outside / "precious").read_bytes() == b"12345"
    # Nothing is left for a third.
    assert went(clean(database)) == {}


def _days(count: float) -> Any:
    return timedelta(days=count)


def _link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def _names(*contents: str) -> list[str]:
    return [hashlib.sha256(content.encode()).hexdigest() for content in contents]


def _file_of(database: Database, key: str) -> str:
    with database.transaction() as session:
        return session.scalars(select(SpeechRendition.file).where(SpeechRendition.clip_key == key)).one()


def _make_older(database: Database) -> None:
    """Every rendition and course was stored long ago."""
    with database.transaction() as session:
        session.execute(update(SpeechRendition).values(created_at=func.now() - _days(1)))
        session.execute(update(Curriculum).values(updated_at=func.now() - _days(1)))


# --- Targets and ages ---------------------------------------------------------------------------------------------


def test_each_sweep_belongs_to_a_target_and_all_is_every_one() -> None:
    assert len({sweep.name for sweep in SWEEPS}) == len(SWEEPS)
    assert sweeps_of("all") == list(SWEEPS)
    assert {sweep for target in ("outputs", "temp", "old_files") for sweep in sweeps_of(target)} == set(SWEEPS)


@pytest.mark.parametrize(
    ("target", "gone"),
    [
        ("outputs", {"speech", "stray"}),
        ("temp", {"temporary"}),
        ("old_files", {"stray", "job"}),
        ("all", {"speech", "stray", "temporary", "job"}),
    ],
)
def test_only_what_belongs_to_the_target_goes(
    root: Path, process: Process, database: Database, target: str, gone: set[str]
) -> None:
    key, stray, temporary = (
        clip(process, database, "old", wav="speech"),
        put(process, "stray"),
        write(root / "tmp" / "x", OLD),
    )
    job = _ended(database)
    clean(database, target)
    left = {
        "speech": key in keys(database),
        "stray": process.files.exists(stray),
        "temporary": temporary.exists(),
        "job": _is_there(database, job),
    }
    assert {what for what, there in left.items() if not there} == gone


@pytest.mark.parametrize(
    ("hours", "gone"), [(None, set()), (100, set()), (24, {"two days"}), (0, {"two days", "two hours"})]
)
def test_an_age_replaces_the_retention_of_speech_but_not_the_grace(
    root: Path, process: Process, database: Database, hours: float | None, gone: set[str]
) -> None:
    days = {"two days": 2.0, "two hours": 2 / 24, "half an hour": 0.5 / 24}
    made = {clip(process, database, name, days=used, wav=name): name for name, used in days.items()}
    for name in list(days):
        age(process.files.path(_names(name)[0]), days[name] * 86400)
    clean(database, "outputs", hours=hours)
    assert {made[key] for key in keys(database)} == set(days) - gone
    assert {name for name in days if not process.files.exists(_names(name)[0])} == gone


def test_an_age_replaces_the_retention_of_temporary_files_but_not_the_grace(
    root: Path, process: Process, database: Database
) -> None:
    seconds = {"two days": 2 * 86400, "two hours": 7200, "half an hour": 1800}
    for name, old in seconds.items():
        write(root / "tmp" / name, old)
        write(root / "imports" / "cache" / name, old)
    clean(database, "temp", hours=24)
    assert {path.name for path in (root / "tmp").iterdir()} == {"two hours", "half an hour"}
    assert {path.name for path in (root / "imports" / "cache").iterdir()} == {"two hours", "half an hour"}
    clean(database, "temp", hours=0)
    assert {path.name for path in (root / "tmp").iterdir()} == {"half an hour"}
    assert {path.name for path in (root / "imports" / "cache").iterdir()} == {"half an hour"}


def test_an_age_changes_nothing_for_records_and_for_files_about_to_be_used(
    root: Path, process: Process, database: Database
) -> None:
    job, stray = _ended(database, days=10), put(process, "about to be used", YOUNG)
    clean(database, hours=0)
    assert _is_there(database, job)
    assert process.files.exists(stray)


# --- Speech -------------------------------------------------------------------------------------------------------


def test_a_file_that_another_clip_needs_stays(root: Path, process: Process, database: Database) -> None:
    clip(process, database, "old", wav="the same sound", flac="alone")
    clip(process, database, "new", days=1, wav="the same sound")
    dry, real = clean(database, dry=True), clean(database)
    assert went(dry) == went(real) == {"expired_speech": (1, 5, 3)}
    assert process.files.exists(_names("the same sound")[0])


def test_a_clip_that_is_used_while_others_are_removed_stays(
    root: Path, process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = clip(process, database, "old", wav="speech")
    persist = process.database.persist

    def just_before(write: Callable[..., Any], **options: Any) -> Any:
        with database.transaction() as session:
            speech_clips.touch(session, [key])
        return persist(write, **options)

    monkeypatch.setattr(process.database, "persist", just_before)
    assert went(clean(database, "outputs")) == {}
    assert keys(database) == {key}
    assert process.files.exists(_names("speech")[0])


def test_a_rendition_without_its_file_goes_alone_and_a_clip_without_its_own_goes_whole(
    root: Path, process: Process, database: Database
) -> None:
    derived = clip(process, database, "derived", days=1, wav="kept", flac="lost one")
    whole = clip(process, database, "whole", days=1, wav="lost two", flac="of no use")
    with database.transaction() as session:
        pin = SpeechPin(clip_key=whole, job_id=making.submit(database).id)
        session.add(pin)
    process.files.remove(_names("lost one", "lost two"))
    # A moment ago: another machine may not see the file yet.
    assert went(clean(database, "old_files")) == {}
    _make_older(database)
    dry, real = clean(database, "old_files", dry=True), clean(database, "old_files")
    assert dry["sweeps"]["speech_without_files"] == real["sweeps"]["speech_without_files"]
    assert real["sweeps"]["speech_without_files"] == {"files": 0, "bytes": 0, "rows": 4}
    assert keys(database) == {derived}
    with database.transaction() as session:
        assert list(session.scalars(select(SpeechRendition.format))) == ["wav"]
        # The promise stays: it is made again.
        assert session.scalar(select(func.count()).select_from(SpeechPin)) == 1


def test_an_image_whose_file_is_gone_goes_from_its_course(root: Path, process: Process, database: Database) -> None:
    there, gone = put(process, "there"), put(process, "gone")
    course = making.course(database, ["One."])
    assets = [NewAsset(f"{name}.png", name, "image/png", 5) for name in (there, gone)]
    with database.transaction() as session:
        curriculum_assets.replace(session, course, assets)
    process.files.remove([gone])
    _make_older(database)
    assert clean(database, "old_files", dry=True)["sweeps"]["images_without_files"]["rows"] == 1
    assert clean(database, "old_files")["sweeps"]["images_without_files"]["rows"] == 1
    with database.transaction() as session:
        assert list(session.scalars(select(CurriculumAsset.file_name))) == [there]


def test_with_no_file_at_all_it_is_the_disk_that_is_missing_and_no_row_goes(
    root: Path, process: Process, database: Database
) -> None:
    key = clip(process, database, "one", days=1, wav="one")
    process.files.remove(_names("one"))
    _make_older(database)
    for folder in (root / "files").glob("??"):
        folder.rmdir()
    done = clean(database, "old_files")
    assert (went(done), keys(database)) == ({}, {key})
    assert any("is its disk mounted?" in sentence for sentence in done["errors"])


# --- Links and folders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tmp", "imports", "imports/uploads", "imports/cache", "files", "files/unfinished"])
def test_a_folder_of_ours_that_is_a_link_is_left_alone_and_told(
    root: Path, process: Process, database: Database, outside: Path, name: str
) -> None:
    folder = root / name
    folder.parent.mkdir(exist_ok=True)
    if folder.is_dir():
        folder.rename(root / "away")
    for inner in ("ab/x", "unfinished/x", "x"):
        write(outside / inner, OLD)
    folder.symlink_to(outside)
    before = everything(outside)
    done = clean(database, hours=0)
    assert everything(outside) == before
    assert went(done) == {}
    told = [sentence for sentence in done["errors"] if "a link leads elsewhere" in sentence]
    assert any(sentence.startswith(f"{name}: ") for sentence in told)


def test_a_link_between_our_own_folders_is_not_followed_either(
    root: Path, process: Process, database: Database
) -> None:
    write(root / "log" / "web.log", OLD)
    write(root / "secret.key", OLD)
    _link(root / "tmp", root / "log")
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
    root: Path, process: Process, database: Database, outside: Path
) -> None:
    write(root / "tmp" / "deep" / "precious", OLD)
    file = found(process, sweep_files.temporary)
    (root / "tmp" / "deep").rename(root / "tmp" / "away")
    _link(root / "tmp" / "deep", outside)
    assert file.remove() == Count()
    assert (outside / "precious").exists()


def test_an_import_that_is_tried_again_just_before_its_folder_goes_keeps_it(
    root: Path, process: Process, database: Database
) -> None:
    job = making.submit(database, kind=IMPORT, params={"asked": {}})
    making.change(database, job, state="failed", finished_at=func.now() - _days(1))
    write(root / "imports" / job.id / "download.json", OLD)
    age(root / "imports" / job.id, OLD)
    candidate = found(process, sweep_files.of_imports)
    with database.transaction() as session:
        lifecycle.retry(session, job.id, able_workers=0)
    assert candidate.remove() == Count()
    assert (root / "imports" / job.id / "download.json").exists()


# --- Imports ------------------------------------------------------------------------------------------------------


def test_what_an_import_needs_stays_and_what_it_left_goes_whole(
    root: Path, process: Process, database: Database
) -> None:
    waiting, ended = (making.submit(database, kind=IMPORT, params={"asked": {}}) for _ in range(2))
    making.change(database, ended, state="failed", finished_at=func.now() - timedelta(seconds=KEPT_SECONDS + 60))
    for job in (waiting, ended):
        write(root / "imports" / job.id / "images" / "one", OLD)
        write(root / "imports" / job.id / "course.json", OLD)
        age(root / "imports" / job.id, OLD)
    dry, real = clean(database, "temp", dry=True), clean(database, "temp")
    assert went(dry) == went(real) == {"import_folders": (2, 10, 0)}
    assert {path.name for path in (root / "imports").iterdir()} == {waiting.id}


# --- Jobs and records ---------------------------------------------------------------------------------------------


def _ended(database: Database, *, days: float = 40, **fields: Any) -> Job:
    job = making.submit(database, **fields)
    making.change(database, job, state="succeeded", finished_at=func.now() - _days(days))
    return job


def _is_there(database: Database, job: Job) -> bool:
    with database.transaction() as session:
        return session.get(Job, job.id) is not None


def test_jobs_go_when_they_ended_long_ago_and_nothing_needs_them(
    root: Path, process: Process, database: Database
) -> None:
    gone = [_ended(database), _ended(database, items=3), _ended(database, kind=IMPORT)]
    voice = _ended(database, kind="deployments.generate")
    kept = [
        _ended(database, days=29),
        voice,
        _ended(database, kind="deployments.voice", parent_id=voice.id),
        making.submit(database),
        pinning := _ended(database),
        untold := _ended(database, callback_url="http://127.0.0.1:1/"),
    ]
    making.change(database, kept[3], created_at=func.now() - _days(400))
    with database.transaction() as session:
        session.add(SpeechPin(clip_key="x", job_id=pinning.id))
    _tell(database, untold)
    dry, real = clean(database, "old_files", dry=True), clean(database, "old_files")
    assert went(dry) == went(real) == {"old_jobs": (0, 0, 6)}
    assert [_is_there(database, job) for job in gone] == [False] * 3
    assert [_is_there(database, job) for job in kept] == [True] * 6


def _tell(database: Database, job: Job) -> None:
    with database.transaction() as session:
        webhooks.write(session, session.get_one(Job, job.id))


def test_a_job_that_is_tried_again_at_that_moment_stays(
    root: Path, process: Process, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _ended(database)
    making.change(database, job, state="failed")
    persist = process.database.persist

    def just_before(write: Callable[..., Any], **options: Any) -> Any:
        with database.transaction() as session:
            if session.get_one(Job, job.id).state == "failed":
                lifecycle.retry(session, job.id, able_workers=0)
        return persist(write, **options)

    begun = begin(database, "old_files")
    monkeypatch.setattr(process.database, "persist", just_before)
    run.run_slice(cleanups.KIND, begun.id)
    assert making.read(database, job).state == "queued"


def test_the_last_twenty_cleanups_are_kept_however_old_they_are(
    root: Path, process: Process, database: Database
) -> None:
    past = [_ended(database, kind=cleanups.KIND, params=cleanups.params("all", None, dry_run=False)) for _ in range(25)]
    for number, job in enumerate(past):
        making.change(database, job, created_at=func.now() - _days(100 - number))
    clean(database, "old_files")
    # With the one that has just cleaned up.
    assert [_is_there(database, job) for job in past] == [False] * 6 + [True] * 19


def test_figures_of_long_ago_go(root: Path, process: Process, database: Database) -> None:
    with database.transaction() as session:
        for days in (401, 399):
            session.add(MetricHour(hour=func.now() - _days(days), series=f"{days}", value=1))
    dry, real = clean(database, "old_files", dry=True), clean(database, "old_files")
    assert went(dry) == went(real) == {"old_metrics": (0, 0, 1)}
    with database.transaction() as session:
        assert list(session.scalars(select(MetricHour.series))) == ["399"]
