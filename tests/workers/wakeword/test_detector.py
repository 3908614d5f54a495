"""The detector: pieces and rates do not matter, it fires once a word, and many share one run of the nets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper

from workers.errors import BadInput
from workers.wakeword import features
from workers.wakeword.detector import Detector, feed_together, open_scorer
from workers.wakeword.features import RATE_HZ, Frontend, frontend

BEEP, BEEP_HZ = 0.3, 1000.0


class Beeps:
    """A scorer whose word is a 1 kHz tone in the last 0.2 s of the window."""

    window_frames = 200

    def __init__(self) -> None:
        self.calls: list[int] = []

    @property
    def frontend(self) -> Frontend:
        return frontend("mel")

    def scores(self, windows: np.ndarray) -> np.ndarray:
        self.calls.append(len(windows))
        # The seventh band and its neighbours hold 1 kHz; the last ones hold what only noise has.
        return (windows[:, -20:, 11:16].max(axis=(1, 2)) > 1.0).astype(np.float32)


def beeps(*at_seconds: float, seconds: float, rate: int = RATE_HZ) -> np.ndarray:
    samples = np.zeros(round(seconds * rate), np.float32)
    tone = 0.3 * np.sin(2 * np.pi * BEEP_HZ * np.arange(round(BEEP * rate)) / rate)
    for start in at_seconds:
        samples[round(start * rate) :][: len(tone)] = tone
    return samples


def untrained_head(width: int, frames: int, batch: int | str = "batch") -> bytes:
    """An ONNX head: the sigmoid of a fixed random weighting."""
    weights = np.random.default_rng(0).normal(0, 0.01, (frames * width, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, frames, width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [batch, 1])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


HEADS = {
    "embedding": untrained_head(96, 16),
    "one at a time": untrained_head(96, 16, 1),
    "longer": untrained_head(96, 28),
    "mel": untrained_head(40, 200),
}


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)


# --- When it fires ---------------------------------------------------------------------------------------------------


def test_it_fires_once_for_each_word_at_the_right_time() -> None:
    found = Detector(Beeps(), smoothing_windows=1).scan(beeps(1.0, 5.0, 9.5, seconds=12))
    assert [round(detection.time_seconds, 1) for detection in found] == pytest.approx([1.1, 5.1, 9.6], abs=0.11)


def test_it_rests_for_the_refractory_time() -> None:
    samples = beeps(1.0, 2.0, 3.5, seconds=5)
    times = {rest: len(Detector(Beeps(), refractory_seconds=rest).scan(samples)) for rest in (0.7, 1.6, 4.0)}
    assert times == {0.7: 3, 1.6: 2, 4.0: 1}


def test_smoothing_takes_the_mean_of_the_last_scores() -> None:
    detector = Detector(Beeps(), smoothing_windows=3, threshold=0.9)
    scores = detector.feed(beeps(1.0, seconds=3))
    raw = [0.0, 0.0] + [score.score for score in scores]
    assert [score.smoothed for score in scores] == pytest.approx(
        [np.mean(raw[at : at + 3]) for at in range(len(scores))]
    )
    (fired,) = [score for score in scores if score.detected]
    assert fired.smoothed == 1.0
    first = next(score for score in scores if score.score == 1.0)
    assert fired.time_seconds - first.time_seconds == pytest.approx(0.32)


def test_a_word_at_the_very_start_or_end_of_a_short_file_is_heard() -> None:
    detector = Detector(Beeps())
    assert len(detector.scan(beeps(0.0, seconds=0.3))) == 1
    assert len(detector.scan(beeps(9.7, seconds=10))) == 1
    assert detector.scan(np.zeros(0, np.float32)) == []


def test_scanning_a_file_leaves_the_stream_as_it_is() -> None:
    plain, disturbed = Detector(Beeps()), Detector(Beeps())
    samples = beeps(1.0, seconds=4)
    first = plain.feed(samples[:30_000]) + plain.feed(samples[30_000:])
    second = disturbed.feed(samples[:30_000])
    assert len(disturbed.scan(samples)) == 1
    assert first == second + disturbed.feed(samples[30_000:])


# --- Pieces and rates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_pieces_of_any_size_give_the_same_scores(kind: str) -> None:
    samples, random = noise(7), np.random.default_rng(1)
    scorer = open_scorer(HEADS[kind])
    whole, pieces, start = Detector(scorer).feed(samples), [], 0
    detector = Detector(scorer)
    while start < len(samples):
        size = int(random.integers(0, 9000))
        pieces += detector.feed(samples[start : start + size])
        start += size
    assert np.ptp([score.score for score in whole]) > 0.01
    assert [score.time_seconds for score in pieces] == [score.time_seconds for score in whole]
    np.testing.assert_allclose([s.score for s in pieces], [s.score for s in whole], atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_is_heard_at_the_same_times(rate: int) -> None:
    found = Detector(Beeps(), smoothing_windows=1).scan(beeps(1.0, 5.0, seconds=7, rate=rate), rate)
    assert [detection.time_seconds for detection in found] == pytest.approx([1.1, 5.1], abs=0.11)


def test_a_rate_that_changes_in_the_middle_loses_nothing() -> None:
    detector = Detector(Beeps(), smoothing_windows=1)
    scores = detector.feed(beeps(1.0, seconds=3, rate=48_000), 48_000)
    scores += detector.feed(beeps(1.0, seconds=3, rate=22_050), 22_050)
    scores += detector.feed(beeps(1.0, seconds=3), RATE_HZ)
    fired = [score.time_seconds for score in scores if score.detected]
    assert fired == pytest.approx([1.1, 4.1, 7.1], abs=0.11)
    assert scores[-1].time_seconds == pytest.approx(9, abs=0.17)


def test_an_hour_is_no_different_from_a_minute() -> None:
    detector = Detector(Beeps())
    minute = beeps(30.0, seconds=60)
    fired = [score.time_seconds for _ in range(10) for score in detector.feed(minute) if score.detected]
    assert fired == pytest.approx([30.2 + 60 * number for number in range(10)], abs=0.15)


# --- Together --------------------------------------------------------------------------------------------------------


def test_many_streams_together_score_as_each_alone() -> None:
    scorers = [open_scorer(HEADS[kind]) for kind in ("embedding", "mel", "embedding", "longer")]
    detectors = [Detector(scorer) for scorer in [*scorers, scorers[0]]]
    sounds = [noise(3, seed) for seed in range(5)]
    rates = [RATE_HZ, RATE_HZ, 48_000, RATE_HZ, RATE_HZ]
    alone = [Detector(d.scorer).feed(x, rate) for d, x, rate in zip(detectors, sounds, rates, strict=True)]
    together: list[list[object]] = [[] for _ in detectors]
    for start in range(0, len(sounds[0]), 4000):
        fed = [(d, x[start : start + 4000], rate) for d, x, rate in zip(detectors, sounds, rates, strict=True)]
        for number, scores in enumerate(feed_together(fed)):
            together[number] += scores
    for one, other in zip(alone, together, strict=True):
        assert [s.time_seconds for s in one] == [s.time_seconds for s in other]
        np.testing.assert_allclose([s.score for s in one], [s.score for s in other], atol=1e-5)


def test_streams_of_one_model_share_each_run_of_the_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, runs = Beeps(), []
    detectors = [Detector(scorer) for _ in range(6)]
    step = type(frontend("mel")).step

    def counted(self: Frontend, samples: np.ndarray, state: np.ndarray) -> object:
        runs.append(len(samples))
        return step(self, samples, state)

    monkeypatch.setattr(type(frontend("mel")), "step", counted)
    feed_together([(detector, noise(0.32, seed), RATE_HZ) for seed, detector in enumerate(detectors)])
    assert runs == [6]
    assert scorer.calls == [12]


def test_it_takes_long_sound_in_bounded_memory() -> None:
    scorer = Beeps()
    Detector(scorer).hear(np.zeros(RATE_HZ * 120, np.float32))
    assert max(scorer.calls) <= 125
    assert sum(scorer.calls) == 753


# --- What it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"threshold": 1.5}, "threshold 1.5"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"smoothing_windows": 0}, "smoothing over 0"),
        ({"refractory_seconds": -1.0}, "refractory time of -1.0"),
        ({"refractory_seconds": float("nan")}, "refractory time of nan"),
    ],
)
def test_numbers_without_sense_are_refused(options: dict[str, float], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Detector(Beeps(), **options)


def test_sound_that_is_none_is_refused() -> None:
    detector = Detector(Beeps())
    for rate in (0, -16_000, 3_999, 400_000):
        with pytest.raises(BadInput, match=f"{rate} Hz"):
            detector.feed(noise(1), rate)
    with pytest.raises(BadInput, match="one channel"):
        detector.feed(np.zeros((2, 16_000), np.float32))
    assert len(detector.feed(noise(1))) == 6


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for file in (b"", b"RIFF", b"\x08\x07" * 50, b"PK\x03\x04", untrained_head(7, 16)):
        with pytest.raises(BadInput) as refused:
            Detector(file)
        assert refused.value.code == "bad_model"
    (tmp_path / "head.onnx").write_bytes(HEADS["embedding"])
    assert Detector(tmp_path / "head.onnx").scorer.window_frames == 16


def test_importing_it_loads_no_engine() -> None:
    seen = "import sys, workers.wakeword.detector; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "workers" in loaded
    assert loaded & {"onnxruntime", "onnx", "torch", "soxr", "scipy", "librosa", "av", "livekit"} == set()


def test_one_frontend_serves_the_process() -> None:
    assert features.frontend("mel") is features.frontend("mel")
