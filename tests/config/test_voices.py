"""The voice catalogue: every name in it leads somewhere."""

from __future__ import annotations

import pytest

from config import voices
from workers.device import Device
from workers.tts import provider


def test_every_voice_has_an_engine_that_is_known_and_served() -> None:
    catalogue = voices.catalogue()
    served = {engine for engines in catalogue.pools.values() for engine in engines}
    for voice in catalogue.voices.values():
        assert voice.engine in catalogue.engines, voice
        assert voice.engine in served, voice
        assert voice.language in catalogue.engines[voice.engine].languages, voice
        assert voice.description, voice
        assert voice.revision, voice


def test_every_provider_has_an_engine_that_is_known_or_none() -> None:
    catalogue = voices.catalogue()
    assert {engine for engine in catalogue.providers.values() if engine} <= set(catalogue.engines)
    assert "vibevoice" in catalogue.providers


def test_the_default_voice_is_one_of_them() -> None:
    assert voices.catalogue().default_voice in voices.catalogue().voices


def test_the_names_that_clients_of_the_documents_use_are_there() -> None:
    assert {"nova", "alloy", "heart"} <= set(voices.catalogue().voices)


def test_every_engine_has_a_file_of_its_own() -> None:
    assert set(voices.catalogue().engines) <= set(provider.MODULES)


@pytest.mark.parametrize("name", ["hibari"])
def test_what_the_catalogue_says_of_an_engine_is_true(name: str) -> None:
    said, found = voices.catalogue().engines[name], provider.load(name, Device("cpu", 1))
    assert (said.name, said.sample_rate_hz, said.licence) == (
        found.name,
        found.sample_rate_hz,
        found.capabilities.licence,
    )
    assert said.languages == found.capabilities.languages


def test_each_pool_has_two_lanes_of_its_own() -> None:
    assert voices.live_lane("neural") == "tts.live.neural"
    assert voices.head_of("tts.live.neural") == "tts.live.neural.head"
    assert voices.background_lane("neural") == "tts.background.neural"
    assert sorted(voices.catalogue().pools) == ["neural"]


def test_the_catalogue_is_read_once() -> None:
    assert voices.catalogue() is voices.catalogue()
