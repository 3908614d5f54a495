"""espeak-ng: a floor that speaks many languages."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from config import voices
from workers.device import Device
from workers.tts import espeak, espeak_library, provider
from workers.tts.espeak import EspeakProvider
from workers.tts.provider import Spoken, Utterance

TEXT = "The quick brown fox, one of the 12 things."


@pytest.fixture(scope="module")
def engine() -> EspeakProvider:
    return espeak.load(Device("cpu", 1))


def say(engine: EspeakProvider, text: str = TEXT, voice: str = "en-us", speed: float = 1.0) -> Spoken:
    (spoken,) = engine.synthesize_batch([Utterance(text, voice, speed)])
    return spoken


def test_it_speaks_as_loud_and_long_as_a_voice_does(engine: EspeakProvider) -> None:
    clip = say(engine).clip
    assert clip.samples.dtype == np.float32
    assert 2.0 < clip.duration_seconds < 4.0
    assert 0.3 < np.abs(clip.samples).max() <= 1.0


@pytest.mark.parametrize("speed", [0.7, 1.3, 2.0, 2.5])
def test_what_it_says_is_as_fast_as_it_was_told(engine: EspeakProvider, speed: float) -> None:
    natural = say(engine).clip.duration_seconds
    assert say(engine, speed=speed).clip.duration_seconds * speed == pytest.approx(natural, rel=0.035)


def test_every_voice_of_the_catalogue_speaks(engine: EspeakProvider) -> None:
    named = {voice.engines["espeak"] for voice in voices.catalogue().voices.values() if "espeak" in voice.engines}
    assert len(named) == len(espeak.LANGUAGES)
    lengths = {name: len(say(engine, "Radio Berlin, Paris, Madrid.", name).clip.samples) for name in named}
    assert min(lengths.values()) > engine.sample_rate_hz
    assert len(set(lengths.values())) > 4


def test_a_voice_it_does_not_have_is_an_error_and_spoils_nothing(engine: EspeakProvider) -> None:
    with pytest.raises(ValueError, match="no voice 'moon'"):
        say(engine, voice="moon")
    assert say(engine).clip.duration_seconds > 1


def test_its_words_are_those_written_in_order(engine: EspeakProvider) -> None:
    spoken = say(engine, f"{TEXT} Ça, & [gnocchi](/ˈnjɒki/)!")
    assert [word.text for word in spoken.words] == [*"The quick brown fox one of the 12 things Ça gnocchi".split()]
    times = [time for word in spoken.words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times)
    assert times[0] == pytest.approx(0.0, abs=0.1)
    assert times[-1] == pytest.approx(spoken.clip.duration_seconds)


@pytest.mark.parametrize("text", ["", "   ", "!!!", "🙂"])
def test_what_cannot_be_said_is_an_empty_clip(engine: EspeakProvider, text: str) -> None:
    spoken = say(engine, text)
    assert (len(spoken.clip.samples), spoken.words) == (0, ())


@pytest.mark.parametrize("text", ["東京", "x" * 300, "a\0b", "[[h@'l@U]]", "<speak>hi</speak>", "a\u0301\u0301"])
def test_odd_text_breaks_nothing(engine: EspeakProvider, text: str) -> None:
    assert np.isfinite(say(engine, text).clip.samples).all()


def test_threads_take_turns(engine: EspeakProvider) -> None:
    lengths: list[int] = []

    def work(voice: str) -> None:
        for _ in range(10):
            lengths.append(len(say(engine, "Radio Berlin.", voice).clip.samples))
            espeak_library.shared().clauses("Hello, world.", "en-us")

    threads = [threading.Thread(target=work, args=(voice,)) for voice in ("en-us", "de", "fr")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lengths) == 30
    # Lengths differ by a few samples from take to take, and by far more between languages.
    assert len({round(length / 1000) for length in lengths}) <= 6


def test_clauses_cover_the_text_and_say_what_is_in_it() -> None:
    text = "Grüße! “Well,” he said: wait… what?"
    clauses = espeak_library.shared().clauses(text, "en-us")
    assert clauses[0].start == 0
    assert clauses[-1].end == len(text)
    assert [earlier.end for earlier in clauses[:-1]] == [later.start for later in clauses[1:]]
    assert text[clauses[0].start : clauses[0].end].strip() == "Grüße!"


def test_it_is_found_by_its_name() -> None:
    loaded = provider.load("espeak", Device("cpu", 1))
    assert (loaded.name, loaded.sample_rate_hz) == ("espeak", 22050)
