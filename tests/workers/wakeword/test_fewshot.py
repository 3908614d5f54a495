"""Detection from a few recordings without training: the packaged voice's words."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("hibari")

import soxr

from workers.errors import BadInput
from workers.tts.hibari import HibariProvider
from workers.tts.provider import Utterance
from workers.wakeword import fewshot
from workers.wakeword.detector import Detector
from workers.wakeword.features import frontend

VOICE = HibariProvider(threads=1)


def said(text: str, speed: float = 1.0, seed: int = 0) -> np.ndarray:
    """Trimmed, at 16 kHz."""
    (spoken,) = VOICE.synthesize_batch([Utterance(text, "heart", speed, seed)])
    samples = soxr.resample(spoken.clip.samples, spoken.clip.sample_rate_hz, 16_000)
    loud = np.flatnonzero(np.abs(samples) > 0.02)
    return samples[loud[0] : loud[-1]].astype(np.float32)


RECORDINGS = [said("Alexa.", speed, seed) for seed, speed in enumerate((0.9, 1.0, 1.1))]
STORY = said("When the long winter finally ended, the villagers opened their doors and swept the snow away.", 1.0, 5)


@pytest.fixture(scope="module")
def templates() -> fewshot.Templates:
    return fewshot.of_recordings(RECORDINGS)


def test_the_word_is_heard_at_other_speeds_and_in_a_sentence(templates: fewshot.Templates) -> None:
    detector = Detector(templates, smoothing_windows=1)
    for clip in (said("Alexa.", 0.85, 9), said("Alexa!", 1.2, 11), said("I said, Alexa, what time is it?", 1.0, 3)):
        assert len(detector.scan(clip)) == 1


def test_other_words_are_not(templates: fewshot.Templates) -> None:
    detector = Detector(templates, smoothing_windows=1)
    for clip in (STORY, said("Computer."), said("Electric."), np.zeros(32_000, np.float32)):
        assert detector.scan(clip) == []


def test_one_recording_is_enough() -> None:
    detector = Detector(fewshot.of_recordings(RECORDINGS[:1]), smoothing_windows=1)
    assert len(detector.scan(RECORDINGS[1])) == 1
    assert detector.scan(STORY) == []


def test_speech_that_is_not_the_word_moves_the_middle_between() -> None:
    frames = frontend("embedding").frames(STORY)
    others = np.stack([frames[at : at + 16] for at in range(len(frames) - 15)])
    calibrated = fewshot.of_recordings(RECORDINGS, others)
    assert calibrated.distances(others).min() > calibrated.middle
    assert (calibrated.scores(others) < 0.5).all()


def test_loudness_does_not_matter_much(templates: fewshot.Templates) -> None:
    quiet = [max(s.score for s in Detector(templates).hear(RECORDINGS[0] * gain)) for gain in (0.1, 1.0)]
    assert min(quiet) > 0.8


def test_a_file_of_templates_is_a_model(templates: fewshot.Templates) -> None:
    again = fewshot.opened(templates.saved())
    windows = np.random.default_rng(0).normal(0, 10, (5, 16, 96)).astype(np.float32)
    np.testing.assert_array_equal(again.scores(windows), templates.scores(windows))
    assert len(Detector(templates.saved(), smoothing_windows=1).scan(RECORDINGS[2])) == 1


def test_what_is_no_file_of_templates_is_refused() -> None:
    with pytest.raises(BadInput, match="no templates"):
        fewshot.opened(b"PK not really a zip")
    with pytest.raises(BadInput, match="needs a recording"):
        fewshot.of_recordings([])
