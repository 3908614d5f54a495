"""What a requested voice and provider mean."""

from __future__ import annotations

import pytest
from sqlalchemy import func, update

from config import voices
from models import speech_voices, workers
from models.db import Database
from models.errors import Invalid
from models.speech_voices import Resolution
from models.workers import EngineState, Worker
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


def state(*alive: str, dead: tuple[str, ...] = ()) -> dict[str, EngineState]:
    return {name: EngineState("7", True) for name in alive} | {name: EngineState("7", False) for name in dead}


@pytest.mark.parametrize(
    ("engines", "chosen", "fallback"),
    [
        (state("hibari", "piper", "vits"), "vits", None),
        # The same speaker in another engine is nobody's replacement.
        (state("hibari", "piper"), "piper", None),
        (state("hibari"), "hibari", "piper -> hibari"),
        (state("hibari", dead=("piper", "vits")), "hibari", "piper -> hibari"),
        (state("remote"), "remote", "piper -> remote"),
        # Nobody is there: whoever was, else who should be.
        (state(dead=("hibari", "piper")), "piper", None),
        (state(dead=("hibari",)), "hibari", "piper -> hibari"),
        ({}, "vits", None),
    ],
)
def test_the_best_engine_that_is_there_speaks_and_another_speaker_is_told(
    engines: dict[str, EngineState], chosen: str, fallback: str | None
) -> None:
    found = speech_voices.resolve(engines, "onyx", None)
    assert (found.engine, found.fallback, found.requested_provider) == (chosen, fallback, None)
    assert found.available is (chosen in engines and engines[chosen].alive)
    assert found.pool == voices.catalogue().engines[chosen].pool
    assert found.revision == ("7/1" if chosen in engines else "unknown/1")


def test_a_provider_that_can_speak_the_voice_does_even_if_it_is_away() -> None:
    found = speech_voices.resolve(state("hibari", "vits", dead=("piper",)), "onyx", "piper")
    assert (found.engine, found.pool, found.available, found.fallback) == ("piper", "neural", False, None)
    assert speech_voices.resolve(state("hibari"), "nova", "remote").engine == "remote"


def test_a_provider_that_cannot_speak_the_voice_is_replaced_and_told() -> None:
    found = speech_voices.resolve(state("hibari", "espeak"), "nova", "espeak")
    assert (found.engine, found.fallback, found.available) == ("hibari", "espeak -> hibari", True)
    joe = speech_voices.resolve(state("hibari", "piper"), "onyx", "vibevoice")
    assert (joe.engine, joe.fallback) == ("piper", "vibevoice -> piper")


def test_a_clip_names_the_speaker_as_its_engine_does_and_leads_back_to_it() -> None:
    remote = speech_voices.resolve(state("remote"), "onyx", "remote").clip("Hello.", 1.0)
    assert (remote.engine, remote.voice) == ("remote", "onyx")
    ours = speech_voices.resolve(state("hibari"), "onyx", None).clip("Hello.", 1.0)
    assert (ours.engine, ours.voice) == ("hibari", "heart")
    assert speech_voices.of_clip(remote).voice.id == "onyx"
    assert speech_voices.of_clip(ours).engine == "hibari"
