"""The cache's bounds: what counts, what goes first, what never goes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from models import speech_clips, speech_eviction, speech_renditions
from models.db import Database
from models.speech_clips import SpeechClip
from models.speech_renditions import Form, MadeFile, SpeechRendition
from tests import making


def clip(database: Database, name: str, size: int = 100, *, days: float = 0, flac: int = 0) -> None:
    """A ready clip whose files are named after it, used so many days ago."""
    files = [MadeFile(Form("wav"), f"{name}.wav", size)]
    files += [MadeFile(Form("flac"), f"{name}.flac", flac)] if flac else []
    making.make_clip(database, making.spec(name), *files, last_used_at=func.now() - timedelta(days=days))


def evict(database: Database, max_bytes: int) -> int:
    """How many bytes went; the files that are named are those of the rows that are gone."""
    before = files(database)
    with database.transaction() as session:
        evicted = speech_eviction.evict(session, max_bytes=max_bytes)
    assert evicted.files == before - files(database)
    return evicted.size_bytes


def files(database: Database) -> set[str]:
    with database.transaction() as session:
        return set(session.scalars(select(SpeechRendition.file)))


def size(database: Database) -> tuple[int, int]:
    with database.transaction() as session:
        return speech_renditions.figures(session)


def test_an_empty_cache_holds_nothing(database: Database) -> None:
    assert size(database) == (0, 0)
    assert evict(database, 1) == 0


def test_the_size_is_that_of_the_renditions(database: Database) -> None:
    clip(database, "a", 100, flac=60)
    making.make_clip(database, making.spec("b"), MadeFile(Form("wav"), "a.wav", 100))
    with database.transaction() as session:
        speech_clips.claim(session, making.spec("unfinished"), node="a", lease_seconds=60)
    assert size(database) == (2, 260)


def test_within_its_bounds_nothing_goes(database: Database) -> None:
    clip(database, "a", 100, days=29)
    clip(database, "b", 100)
    assert evict(database, 200) == 0
    assert files(database) == {"a.wav", "b.wav"}


def test_above_its_bound_the_least_recently_used_go_down_to_four_fifths(database: Database) -> None:
    for age in range(11):
        clip(database, f"{age:02}", 100, days=age)
    assert evict(database, 1000) == 300
    assert files(database) == {f"{age:02}.wav" for age in range(8)}
    assert size(database) == (8, 800)


def test_at_exactly_its_bound_nothing_goes(database: Database) -> None:
    for age in range(10):
        clip(database, f"{age}", 100, days=age)
    assert evict(database, 1000) == 0


def test_derived_formats_go_before_any_clip(database: Database) -> None:
    clip(database, "older", 100, days=9)
    clip(database, "newer", 100, days=1, flac=60)
    assert evict(database, 250) == 60
    assert files(database) == {"older.wav", "newer.wav"}


def test_of_derived_formats_the_least_recently_used_go_first(database: Database) -> None:
    for age in range(5):
        clip(database, f"{age}", 100, days=age, flac=50)
    assert evict(database, 740) == 200
    assert files(database) == {f"{age}.wav" for age in range(5)} | {"0.flac"}


def test_when_derived_formats_are_not_enough_clips_follow(database: Database) -> None:
    clip(database, "older", 100, days=9, flac=10)
    clip(database, "newer", 100, days=1, flac=10)
    assert evict(database, 150) == 120
    assert files(database) == {"newer.wav"}


def test_pinned_clips_do_not_go(database: Database) -> None:
    clip(database, "pinned", 100, days=400, flac=60)
    making.pin(database, making.spec("pinned").key)
    clip(database, "loose", 100, days=400)
    assert evict(database, 1) == 100
    assert files(database) == {"pinned.wav", "pinned.flac"}


def test_a_clip_that_is_being_made_stays(database: Database) -> None:
    with database.transaction() as session:
        token = speech_clips.claim(session, making.spec(), node="a", lease_seconds=60)
        session.execute(SpeechClip.__table__.update().values(last_used_at=func.now() - timedelta(days=400)))
    assert token
    assert evict(database, 1) == 0
    with database.transaction() as session:
        speech_clips.made(session, making.spec().key, token, duration_seconds=1, sample_rate_hz=1)


def test_evicted_clips_leave_no_renditions(database: Database) -> None:
    clip(database, "a", 100, days=400, flac=60)
    evict(database, 1)
    with database.transaction() as session:
        assert session.scalar(select(func.count()).select_from(SpeechRendition)) == 0
        assert session.scalar(select(func.count()).select_from(SpeechClip)) == 0
