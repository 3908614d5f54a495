"""Wake-word models: versions of a word, which one is active, what goes with them, which files they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from models import accounts, wake_captures, wake_files, wake_models
from models.db import Database
from models.errors import NotFound
from models.files import FileStore
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.wake_models import WakeModel, slug_of
from tests import making, waking


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    """A store of its own."""
    return FileStore(tmp_path)


def add(database: Database, word: str = "jarvis", **fields: Any) -> WakeModel:
    """The next version of a word, with two files."""
    stored = {"detector": {"file": "d" * 64, "size_bytes": 3}, "weights": {"file": "e" * 64, "size_bytes": 4}}
    values: dict[str, Any] = {"model_type": "embedding", "threshold": 0.5, "report": {}, "files": stored} | fields
    with database.transaction() as session:
        return wake_models.add(session, wake_word=word, **values)


def active(database: Database, slug: str = "jarvis") -> list[int]:
    """The versions of a word that are active: one, or there is a fault."""
    with database.transaction() as session:
        return list(session.scalars(select(WakeModel.version).where(WakeModel.slug == slug, WakeModel.active)))


@pytest.mark.parametrize(
    ("word", "slug"), [("jarvis", "jarvis"), ("Hey  Jarvis", "hey-jarvis"), (" Ola Ñandú ", "ola-ñandú")]
)
def test_a_slug_is_the_word_in_lower_case_with_hyphens(word: str, slug: str) -> None:
    assert slug_of(word) == slug


def test_each_training_makes_a_new_version_which_is_the_active_one(database: Database) -> None:
    assert [add(database).name, add(database, "JARVIS").name, add(database, "other").name] == [
        "jarvis@1",
        "jarvis@2",
        "other@1",
    ]
    assert active(database) == [2]
    with database.transaction() as session:
        assert wake_models.find(session, "jarvis").version == 2
        assert wake_models.find(session, "jarvis@1").active is False
        assert [each.name for each in wake_models.versions(session, "jarvis")] == ["jarvis@2", "jarvis@1"]
        assert [each.name for each in wake_models.listed(session)] == ["other@1", "jarvis@2"]
        assert [each.name for each in wake_models.listed(session, type_name="custom")] == ["other@1", "jarvis@2"]
        assert wake_models.listed(session, type_name="default") == []


def test_what_everybody_uses_is_changed_by_its_owner_or_an_administrator_only(database: Database) -> None:
    with database.transaction() as session:
        ada, ben, admin = (
            accounts.create(session, username=name, password="a long password", role=role).id
            for name, role in (("ada", "client"), ("ben", "client"), ("boss", "admin"))
        )
    for account_id, expected in ((ada, 1), (ben, 1), (ada, 3), (admin, 4), (ada, 4)):
        add(database, account_id=account_id)
        assert active(database) == [expected]


def test_ten_at_once_are_ten_versions_and_one_is_active(database: Database) -> None:
    names = making.at_once(10, lambda _: add(database).name)
    assert sorted(names) == sorted(f"jarvis@{number}" for number in range(1, 11))
    assert active(database) == [10]


@pytest.mark.parametrize(
    "name",
    [
        *("", "nobody", "JARVIS", "jarvis@", "jarvis@0", "jarvis@01", "jarvis@3", "jarvis@-1", "jarvis@9999999999"),
        *("jarvis@1@1", "@1", "../jarvis", "jarvis\0", "jarvis\n", "x" * 5000, "jarvis@\u0661", "%", "jarvi_"),
    ],
)
def test_what_there_is_not_is_not_found_whatever_it_is_called(database: Database, name: str) -> None:
    add(database)
    with database.transaction() as session, pytest.raises(NotFound):
        wake_models.find(session, name)


def test_another_version_can_be_made_the_active_one(database: Database) -> None:
    add(database)
    add(database)
    with database.transaction() as session:
        assert wake_models.activate(session, "jarvis@1").name == "jarvis@1"
    assert active(database) == [1]
    with database.transaction() as session:
        wake_models.activate(session, "jarvis")
    assert active(database) == [1]


def test_when_the_active_version_goes_the_newest_of_the_others_is_active(database: Database) -> None:
    for _ in range(3):
        add(database)
    with database.transaction() as session:
        assert wake_models.remove(session, "jarvis@3") == ["jarvis@3"]
    assert active(database) == [2]
    with database.transaction() as session:
        assert wake_models.remove(session, "jarvis@1") == ["jarvis@1"]
    assert active(database) == [2]
    # The last number is free again when its version is gone.
    assert add(database).name == "jarvis@3"


def test_a_word_goes_with_all_its_versions(database: Database) -> None:
    for _ in range(2):
        add(database)
    add(database, "other")
    with database.transaction() as session:
        assert wake_models.remove(session, "jarvis") == ["jarvis@2", "jarvis@1"]
    with database.transaction() as session:
        assert [each.slug for each in session.scalars(select(WakeModel))] == ["other"]
        with pytest.raises(NotFound):
            wake_models.remove(session, "jarvis")


def test_a_model_outlives_the_job_that_made_it(database: Database, files: FileStore) -> None:
    job = waking.train(database, files)
    making.end_well(database, job)
    made = add(database, job_id=job.id)
    with database.transaction() as session:
        found = wake_models.of_job(session, job.id)
        assert found is not None
        assert found.name == made.name
        lifecycle.delete(session, job.id)
    with database.transaction() as session:
        assert wake_models.find(session, "jarvis").job_id is None
        assert wake_models.of_job(session, job.id) is None


def test_files_are_known_as_long_as_a_model_a_training_or_a_capture_needs_them(
    database: Database, files: FileStore
) -> None:
    kept = {"file": "a" * 64, "name": "a.wav", "size_bytes": 10, "duration_seconds": 1.0}
    job = waking.train(database, files, clips={"recordings": [], "misses": [kept | {"file": "b" * 64}]})
    add(database, recordings=[kept])
    with database.transaction() as session:
        wake_captures.add(
            session,
            slug="jarvis",
            kind="miss",
            file="c" * 64,
            size_bytes=5,
            duration_seconds=1.0,
            account_id=None,
        )
    asked = [letter * 64 for letter in "abcdef"]

    def known() -> str:
        with database.transaction() as session:
            assert wake_files.known_files(session, []) == set()
            return "".join(sorted(name[0] for name in wake_files.known_files(session, asked)))

    assert known() == "abcde"
    with database.transaction() as session:
        assert wake_files.size_bytes(session) == 3 + 4 + 10 + 5
        session.execute(delete(Job).where(Job.id == job.id))
    assert known() == "acde"
    with database.transaction() as session:
        wake_models.remove(session, "jarvis")
        wake_captures.remove_all(session, "other")
    assert known() == "c"
    with database.transaction() as session:
        wake_captures.remove_all(session, "jarvis")
        assert wake_files.size_bytes(session) == 0
    assert known() == ""
