"""Cleanups: what goes, what stays, dry and real, alone and beside others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from models import cleanups, curriculum_assets, speech_clips, webhooks
from models.curricula import Curriculum
from models.curriculum_assets import CurriculumAsset, NewAsset
from models.db import Database
from models.files import GRACE_SECONDS
from models.imports import KEPT_SECONDS
from models.imports import KIND as IMPORT
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem
from models.jobs.tables import Job
from models.metrics.hours import MetricHour
from models.speech_clips import SpeechClip
from models.speech_pins import SpeechPin
from models.speech_renditions import SpeechRendition
from tasks import run
from tasks.cleanup import SWEEPS, sweeps_of
from tasks.process import Process
from tests import making
from tests.tasks.cleaning import (
    OLD,
    YOUNG,
    age,
    begin,
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

# --- The whole ----------------------------------------------------------------------------------------------------


def test_a_dry_run_and_a_real_one_count_the_same_and_only_what_nobody_needs_goes(
    root: Path, process: Process, database: Database, elsewhere: Path
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
        session.execute(
            update(SpeechClip).where(SpeechClip.key == at_work).values(last_used_at=func.now() - days_ago(90))
        )
    # Files without rows, rows without files, temporary files, links that lead out of the house.
    stray, young = put(process, "nobody's"), put(process, "about to be used", YOUNG)
    lost = clip(process, database, "lost", days=1, wav="lost")
    process.files.remove([_file_of(database, lost)])
    _make_older(database)
    write(root / "files" / "unfinished" / "draft", OLD)
    write(root / "tmp" / "deep" / "old", GRACE_SECONDS + 60)
    write(root / "tmp" / "new", GRACE_SECONDS - 60)
    age(link(root / "tmp" / "link", elsewhere / "precious"), OLD)
    age(link(root / "tmp" / "folder", elsewhere), OLD)
    link(root / "files" / "zz", elsewhere)
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
        "temporary_files": (3, 5 + len(str(elsewhere / "precious")) + len(str(elsewhere)), 0),
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
    assert (elsewhere / "precious").read_bytes() == b"12345"
    # Nothing is left for a third.
    assert went(clean(database)) == {}


def _names(*contents: str) -> list[str]:
    return [hashlib.sha256(content.encode()).hexdigest() for content in contents]


def _file_of(database: Database, key: str) -> str:
    with database.transaction() as session:
        return session.scalars(select(SpeechRendition.file).where(SpeechRendition.clip_key == key)).one()


def _make_older(database: Database) -> None:
    """Every rendition and course was stored long ago."""
    with database.transaction() as session:
        session.execute(update(SpeechRendition).values(created_at=func.now() - days_ago(1)))
        session.execute(update(Curriculum).values(updated_at=func.now() - days_ago(1)))


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
    making.change(database, job, state="succeeded", finished_at=func.now() - days_ago(days))
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
    making.change(database, kept[3], created_at=func.now() - days_ago(400))
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
        making.change(database, job, created_at=func.now() - days_ago(100 - number))
    clean(database, "old_files")
    # With the one that has just cleaned up.
    assert [_is_there(database, job) for job in past] == [False] * 6 + [True] * 19


def test_figures_of_long_ago_go(root: Path, process: Process, database: Database) -> None:
    with database.transaction() as session:
        for days in (401, 399):
            session.add(MetricHour(hour=func.now() - days_ago(days), series=f"{days}", value=1))
    dry, real = clean(database, "old_files", dry=True), clean(database, "old_files")
    assert went(dry) == went(real) == {"old_metrics": (0, 0, 1)}
    with database.transaction() as session:
        assert list(session.scalars(select(MetricHour.series))) == ["399"]
