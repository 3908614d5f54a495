"""What a requested voice and provider mean."""

from __future__ import annotations

import pytest
from sqlalchemy import func, update

from config import voices
from models import speech_voices, workers
from models.db import Database
from models.errors import Invalid
from models.speech_voices import Resolution
from models.workers import Worker
from tests import making

pytestmark = pytest.mark.usefixtures("register_of_its_own")


def resolve(database: Database, voice_id: str | None = None, provider: str | None = None) -> Resolution:
    with database.transaction() as session:
        return speech_voices.resolve(workers.engines(session), voice_id, provider)


def test_nothing_in_particular_is_the_default_voice(database: Database) -> None:
    assert resolve(database).voice.id == voices.catalogue().default_voice
    assert resolve(database, "").voice.id == voices.catalogue().default_voice


def test_a_voice_speaks_with_its_engine_at_the_revision_its_workers_have(database: Database) -> None:
    making.register(database, "a", engines={"hibari": "9.9"})
    with database.transaction() as session:
        later = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, 60)
        session.execute(update(Worker).where(Worker.node == "a").values(started_at=later))
    found = resolve(database, "heart")
    assert (found.engine, found.pool, found.revision) == ("hibari", "neural", "9.9/1")
    assert (found.requested_provider, found.fallback) == (None, None)


def test_the_engine_s_own_name_is_no_fallback(database: Database) -> None:
    assert resolve(database, "nova", "hibari").fallback is None


def test_a_provider_without_an_engine_falls_back_and_says_so(database: Database) -> None:
    found = resolve(database, "nova", "vibevoice")
    assert (found.engine, found.requested_provider, found.fallback) == ("hibari", "vibevoice", "vibevoice -> hibari")
    assert found.as_dict() == {
        "voice_id": "nova",
        "engine": "hibari",
        "revision": found.revision,
        "requested_provider": "vibevoice",
        "fallback": "vibevoice -> hibari",
    }


@pytest.mark.parametrize(("voice_id", "provider"), [("moon", None), ("nova", "moon")])
def test_what_is_unknown_is_refused_naming_it_and_what_there_is(
    database: Database, voice_id: str, provider: str | None
) -> None:
    with pytest.raises(Invalid, match=r"'moon' is unknown; there are .*\b(nova|hibari)\b"):
        resolve(database, voice_id, provider)


def test_two_names_of_one_voice_share_their_clips(database: Database) -> None:
    nova, heart = resolve(database, "nova"), resolve(database, "heart")
    assert nova.clip("Hello.", 1.0).key == heart.clip("Hello.", 1.0).key
    assert nova.clip("Hello.", 1.5).key != heart.clip("Hello.", 1.0).key
