"""Trainings of wake words: one of a word at a time, who sees them, what is stored of them, which folders they need."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func

from models import wake_captures, wake_trainings
from models.base import utc_now
from models.db import Database
from models.errors import Conflict, LeaseLost, NotFound
from models.files import FileStore
from models.jobs import lifecycle
from models.wake_trainings import Folders, WakeTraining
from tests import making, waking
from workers.wakeword.options import Options


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    """A store of its own."""
    return FileStore(tmp_path)


def may_start(database: Database, slug: str = "jarvis") -> bool:
    """Whether a training of the word could be started."""
    try:
        with database.transaction() as session:
            wake_trainings.hold(session, slug)
    except Conflict:
        return False
    return True


def test_a_word_is_trained_once_at_a_time_whatever_the_state_of_its_job(database: Database, files: FileStore) -> None:
    assert may_start(database)
    job = waking.train(database, files)
    assert not may_start(database)
    assert may_start(database, "other")
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
    assert not may_start(database)
    with database.transaction() as session:
        lifecycle.resume(session, job.id, able_workers=1)
    claimed = making.claim(database, job)
    assert not may_start(database)
    making.finish(database, claimed)
    assert may_start(database)
    with database.transaction() as session:
        lifecycle.cancel(session, waking.train(database, files).id)
    assert may_start(database)


def test_the_refusal_names_the_word_and_the_job(database: Database, files: FileStore) -> None:
    job = waking.train(database, files, "hey jarvis")
    with database.transaction() as session, pytest.raises(Conflict, match=f"'hey jarvis' .* job {job.id} .pending."):
        wake_trainings.hold(session, "hey-jarvis")


def test_of_those_who_start_at_once_one_is_first(database: Database, files: FileStore) -> None:
    files.put(waking.sound())

    def start(_: int) -> bool:
        job = making.new_job(kind=wake_trainings.KIND, params={"options": vars(Options())})
        try:
            with database.transaction() as session:
                wake_trainings.hold(session, "jarvis")
                row, _ = lifecycle.submit(session, job, doorbells=0)
                wake_trainings.add(session, row, wake_word="jarvis", clips={})
        except Conflict:
            return False
        return True

    assert sum(making.at_once(8, start)) == 1


def test_a_training_is_seen_by_whose_it_is(database: Database, files: FileStore) -> None:
    job = waking.train(database, files, account_id="me")
    other = making.submit(database, account_id="me")
    with database.transaction() as session:
        for who in (None, "me"):
            assert wake_trainings.get(session, job.id, visible_to=who)[1].wake_word == "jarvis"
            assert [each.id for each, _ in wake_trainings.listed(session, visible_to=who, limit=5)] == [job.id]
        assert wake_trainings.listed(session, visible_to="you", limit=5) == []
        for name, who in ((job.id, "you"), (other.id, "me"), ("nothing", None), ("../x", None), ("\0", None)):
            with pytest.raises(NotFound):
                wake_trainings.get(session, name, visible_to=who)


def test_what_is_told_is_stored_only_under_the_jobs_token(database: Database, files: FileStore) -> None:
    job = waking.train(database, files)
    first = making.claim(database, job, lease_seconds=-1)
    with database.transaction() as session:
        wake_trainings.note(session, first, {"current_epoch": 1})
    with database.transaction() as session:
        lifecycle.pause(session, job.id)
        lifecycle.resume(session, job.id, able_workers=1)
    second = making.claim(database, job)
    with database.transaction() as session, pytest.raises(LeaseLost):
        wake_trainings.note(session, first, {"current_epoch": 9})
    with database.transaction() as session:
        wake_trainings.note(session, second, {"current_epoch": 2})
    with database.transaction() as session:
        assert session.get_one(WakeTraining, job.id).detail == {"current_epoch": 2}


def test_only_an_ended_training_can_be_removed_and_all_of_it_goes(database: Database, files: FileStore) -> None:
    job = waking.train(database, files)
    with database.transaction() as session, pytest.raises(Conflict, match=f"{job.id} is pending"):
        wake_trainings.remove(session, job.id, visible_to=None)
    making.end_well(database, job)
    with database.transaction() as session:
        wake_trainings.remove(session, job.id, visible_to=None)
    with database.transaction() as session:
        assert session.get(WakeTraining, job.id) is None


def test_the_negatives_are_in_use_while_somebody_builds_or_reads_them(database: Database, files: FileStore) -> None:
    def user(*, building: bool = False) -> str | None:
        with database.transaction() as session:
            found = wake_trainings.negatives_in_use(session, building=building)
            return found.id if found else None

    without = {"options": vars(Options()) | {"use_real_negatives": False}}
    waking.train(database, files, "without", params=without)
    assert user() is None
    reading = waking.train(database, files)
    assert (user(), user(building=True)) == (reading.id, None)
    making.end_well(database, reading)
    building = making.submit(database, kind=wake_trainings.NEGATIVES)
    assert (user(), user(building=True)) == (building.id, building.id)
    making.end_well(database, building)
    assert user() is None


def test_folders_are_needed_by_what_is_unfinished_or_ended_within_a_day(database: Database, files: FileStore) -> None:
    unfinished, young, old = (waking.train(database, files, word) for word in ("one", "two", "three"))
    listening = making.submit(database, kind=wake_trainings.LISTEN, params={"upload": "sent"})
    for job in (young, old):
        making.end_well(database, job)
    making.change(database, old, finished_at=func.now() - timedelta(seconds=wake_trainings.KEPT_SECONDS + 60))
    names = [unfinished.id, young.id, old.id, "nothing", "sent"]
    with database.transaction() as session:
        assert wake_trainings.over(session, names) == {old.id, "nothing"}
        assert wake_trainings.over(session, []) == set()
    making.end_well(database, listening)
    with database.transaction() as session:
        assert "sent" in wake_trainings.over(session, names)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "uploads", "negatives", "packages", "x" * 81, "a.b", "é é"])
def test_what_is_no_jobs_id_has_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no job's id"):
        Folders(tmp_path).of_job(name)


def test_a_clip_is_captured_once_and_the_newest_are_given(database: Database) -> None:
    def capture(file: str, kind: str = "miss", slug: str = "jarvis") -> str:
        with database.transaction() as session:
            about = {"size_bytes": 1, "duration_seconds": 1.0, "account_id": None}
            return wake_captures.add(session, slug=slug, kind=kind, file=file, **about).id

    began = utc_now()
    ids = [capture(letter * 64) for letter in "abc"]
    assert capture("b" * 64) == ids[1]
    assert capture("b" * 64, "false_alarm") != ids[1]
    capture("d" * 64, slug="other")
    with database.transaction() as session:
        found = wake_captures.newest(session, "jarvis", "miss", limit=2)
        assert [each.id for each in found] == [ids[2], ids[1]]
        assert all(each.created_at >= began - timedelta(seconds=5) for each in found)
