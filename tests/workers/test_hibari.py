"""The packaged engine: what it promises is so."""

from __future__ import annotations

import numpy as np
import pytest

from workers import resident
from workers.device import Device
from workers.tts import provider
from workers.tts.hibari import HibariProvider
from workers.tts.provider import Utterance


@pytest.fixture(scope="module")
def engine() -> HibariProvider:
    return HibariProvider(threads=1)


def say(engine: HibariProvider, text: str = "Good morning.", speed: float = 1.0, seed: int = 0) -> np.ndarray:
    (spoken,) = engine.synthesize_batch([Utterance(text, "heart", speed, seed)])
    clip = spoken.clip
    assert clip.sample_rate_hz == engine.sample_rate_hz
    return clip.samples


def test_it_speaks_as_loud_and_long_as_a_voice_does(engine: HibariProvider) -> None:
    samples = say(engine)
    assert samples.dtype == np.float32
    assert 0.4 < len(samples) / engine.sample_rate_hz < 2.5
    assert 0.1 < np.abs(samples).max() <= 1.0
    assert np.isfinite(samples).all()


def test_the_same_seed_gives_the_same_samples_and_another_one_others(engine: HibariProvider) -> None:
    assert np.array_equal(say(engine, seed=3), say(engine, seed=3))
    assert not np.array_equal(say(engine, seed=3), say(engine, seed=4))


def test_another_process_would_say_it_alike(engine: HibariProvider) -> None:
    assert np.array_equal(say(HibariProvider(threads=1)), say(engine))


def test_what_was_said_before_does_not_matter(engine: HibariProvider) -> None:
    alone = say(engine, "Two.")
    say(engine, "Something else entirely, and longer.")
    assert np.array_equal(say(engine, "Two."), alone)


def test_each_utterance_of_a_batch_is_said_as_if_alone(engine: HibariProvider) -> None:
    first, second = engine.synthesize_batch([Utterance("One.", "heart"), Utterance("Two.", "heart", 1.5, 9)])
    assert np.array_equal(first.clip.samples, say(engine, "One."))
    assert np.array_equal(second.clip.samples, say(engine, "Two.", 1.5, 9))
    assert engine.synthesize_batch([]) == []


def test_speed_shortens(engine: HibariProvider) -> None:
    text = "This is a sentence of some length."
    slow, normal, fast = (len(say(engine, text, speed)) for speed in (0.5, 1.0, 2.0))
    assert slow > normal * 1.6
    assert fast < normal * 0.65


@pytest.mark.parametrize("speed", [0.25, 4.0])
def test_the_slowest_and_the_fastest_are_sound(engine: HibariProvider, speed: float) -> None:
    samples = say(engine, speed=speed)
    assert len(samples) > 0
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("text", ["🙂", "", "   ", "東京"])
def test_what_cannot_be_said_is_an_empty_clip(engine: HibariProvider, text: str) -> None:
    assert len(say(engine, text)) == 0


@pytest.mark.parametrize("text", ["x" * 300, "1234567890 " * 5, "(((((", "a\u0301\u0301\u0301", "Καλημέρα", "\u200b"])
def test_odd_text_breaks_nothing(engine: HibariProvider, text: str) -> None:
    assert np.isfinite(say(engine, text)).all()


def test_it_is_found_by_its_name_and_loaded_once() -> None:
    loaded = provider.load("hibari", Device("cpu", 1))
    assert loaded.name == "hibari"
    assert loaded.revision
    revisions = resident.load(["hibari"], Device("cpu", 1))
    assert revisions["hibari"] == loaded.revision
    assert resident.engine("hibari") is resident.engine("hibari")


def test_an_unknown_engine_is_an_error() -> None:
    with pytest.raises(KeyError):
        provider.load("ghost", Device("cpu", 1))


@pytest.mark.parametrize(
    ("word", "ipa"), [("day", "deɪ"), ("church", "t͡ʃɜːrtʃ"), ("go", "ˈgoʊ"), ("cow", "ˈkaʊ"), ("A", "ˈeɪ")]
)
def test_ipa_is_said_in_the_engine_s_own_letters(engine: HibariProvider, word: str, ipa: str) -> None:
    marked = engine._own_letters(f"[{word}](/{ipa}/)")
    (said,) = engine._session.phonemize(marked)
    assert said
    assert set(said) <= set(engine._session.vocab)
    assert not {"eɪ", "oʊ", "aʊ", "tʃ", "g"} & {said[at : at + width] for at in range(len(said)) for width in (1, 2)}


@pytest.mark.parametrize(("word", "ipa"), [("day", "ˈdeɪ"), ("station", "ˈsteɪʃən"), ("boy", "ˈbɔɪ")])
def test_a_marked_word_sounds_as_marked(engine: HibariProvider, word: str, ipa: str) -> None:
    assert np.array_equal(say(engine, f"[Xylem](/{ipa}/)."), say(engine, f"{word.capitalize()}."))
