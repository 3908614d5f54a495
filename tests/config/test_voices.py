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
        assert voice.engines, voice
        for engine, speaker in voice.engines.items():
            assert engine in served, voice
            assert voice.language in catalogue.engines[engine].languages, voice
            assert speaker, voice
        assert voice.description, voice
        assert voice.revision, voice


def test_every_provider_has_an_engine_that_is_known_or_none() -> None:
    catalogue = voices.catalogue()
    assert {engine for engine in catalogue.providers.values() if engine} <= set(catalogue.engines)
    assert "vibevoice" in catalogue.providers


def test_the_default_voice_is_one_of_them() -> None:
    assert voices.catalogue().default_voice in voices.catalogue().voices


def test_the_names_that_clients_of_the_documents_use_are_there() -> None:
    openai = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
    assert {*openai, "heart", "joe", "espeak-de"} <= set(voices.catalogue().voices)
    # Also where nothing optional is installed.
    assert all("hibari" in voices.catalogue().voices[name].engines for name in openai)


def test_who_speaks_under_another_s_name_is_told() -> None:
    for voice in voices.catalogue().voices.values():
        speakers = set(voice.engines.values()) - {voice.id}
        if {"heart", "joe"} & speakers:
            assert all(speaker in voice.description for speaker in speakers & {"heart", "joe"}), voice


def test_an_engine_that_is_not_always_there_says_what_it_needs() -> None:
    catalogue = voices.catalogue()
    assert catalogue.engines["hibari"].needs == ""
    assert catalogue.engines["piper"].needs == "`make voices`"
    assert catalogue.optional_pools == {"gpu", "remote"}


def test_every_engine_has_a_file_of_its_own() -> None:
    assert set(voices.catalogue().engines) == set(provider.MODULES)


@pytest.mark.parametrize("name", provider.MODULES)
def test_what_the_catalogue_says_of_an_engine_is_true(name: str) -> None:
    options = {"remote": {"url": "http://127.0.0.1:1"}}
    try:
        found = provider.load(name, Device("cpu", 1), options.get(name))
    except ImportError as fault:
        pytest.skip(str(fault))
    said = voices.catalogue().engines[name]
    assert (said.name, said.sample_rate_hz, said.licence) == (
        found.name,
        found.sample_rate_hz,
        found.capabilities.licence,
    )
    assert said.languages == found.capabilities.languages
    assert (said.speeds, said.seed) == (found.capabilities.speeds, found.capabilities.seed)


def test_each_pool_has_two_lanes_of_its_own() -> None:
    assert voices.live_lane("neural") == "tts.live.neural"
    assert voices.head_of("tts.live.neural") == "tts.live.neural.head"
    assert voices.background_lane("neural") == "tts.background.neural"
    assert voices.catalogue().pools == {
        "neural": ["hibari", "piper", "espeak"],
        "gpu": ["vits"],
        "remote": ["remote"],
    }


def test_the_catalogue_is_read_once() -> None:
    assert voices.catalogue() is voices.catalogue()
