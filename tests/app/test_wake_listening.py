"""Listening to many streams at once: what is shared, what is bounded, and what happens when it breaks."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("hibari")

from app import wake_listening
from app.sockets.wakeword import Groups
from app.wake_listening import Listening, Manner, Scorers, StreamLost
from app.wake_sound import Sound, last_of, sound_of, wav
from models.errors import Busy, Invalid
from tests.alexa import RATE, detector_of_alexa, file_of, pcm, spoken
from tests.conftest import eventually
from workers.errors import BadInput
from workers.wakeword.detector import Detector, Score, open_scorer

MANNER = Manner(0.5, 2, 2.0)
WORD = spoken((1.0, "Alexa."), seconds=3)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """Puts a detector's file into the store, under a name of its own."""

    def put(name: str = "alexa", content: bytes | None = None) -> Path:
        path = tmp_path / name
        path.write_bytes(detector_of_alexa() if content is None else content)
        return path

    return put


def sound(samples: np.ndarray, rate_hz: int = RATE) -> Sound:
    return sound_of(pcm(samples), rate_hz)


# --- Together --------------------------------------------------------------------------------------------------------


def test_streams_that_come_and_go_hear_what_each_would_alone(stored: Callable[..., Path]) -> None:
    listening, model = Listening(), stored()
    heard: dict[int, list[Score]] = {}

    def run(number: int) -> None:
        heard[number] = []
        samples = np.concatenate((np.zeros(1600 * number, np.float32), WORD))
        with listening.stream(model, MANNER, heard[number].extend) as stream:
            for start in range(0, len(samples), 1000 + 300 * number):
                stream.feed(sound(samples[start : start + 1000 + 300 * number]))
            eventually(lambda: len(heard[number]) == len(samples) // 1280)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, scores in heard.items():
        samples = np.concatenate((np.zeros(1600 * number, np.float32), WORD))
        alone = Detector(open_scorer(detector_of_alexa())).feed(np.frombuffer(pcm(samples), "<i2") / np.float32(32768))
        assert [score.time_seconds for score in scores] == [score.time_seconds for score in alone]
        np.testing.assert_allclose([s.score for s in scores], [s.score for s in alone], atol=1e-4)
        assert sum(score.detected for score in scores) == 1
    eventually(lambda: not listening._runs)


def test_many_rounds_of_one_stream_wait_until_there_is_room(stored: Callable[..., Path]) -> None:
    listening = Listening()
    told: list[list[Score]] = []
    with listening.stream(stored(), MANNER, told.append) as stream:
        most = 0.0
        for _ in range(20):
            stream.feed(sound(np.zeros(RATE // 2, np.float32)))
            most = max(most, stream.backlog_seconds)
        eventually(lambda: sum(map(len, told)) == 125)
    assert most <= wake_listening.BACKLOG_SECONDS + 0.5
    # None is more than is heard at once: half a second is six scores.
    assert max(map(len, told)) <= 7


def test_frames_of_one_sample_and_of_none_are_heard_as_any_sound(stored: Callable[..., Path]) -> None:
    listening = Listening()
    told: list[list[Score]] = []
    with listening.stream(stored(), MANNER, told.append) as stream:
        for _ in range(RATE // 4):
            stream.feed(sound(np.zeros(1, np.float32)))
            stream.feed(sound(np.zeros(0, np.float32)))
        eventually(lambda: sum(map(len, told)) == 3)
        assert stream.backlog_seconds == 0.0
        assert stream.take() is None


def test_rates_are_not_mixed(stored: Callable[..., Path]) -> None:
    heard: list[Score] = []
    with Listening().stream(stored(), MANNER, heard.extend) as stream:
        for rate in (48_000, 8_000, 48_000):
            stream.feed(sound(spoken((1.0, "Alexa."), seconds=3, rate=rate), rate))
        eventually(lambda: heard and heard[-1].time_seconds > 8.8)
    assert [score.time_seconds for score in heard if score.detected] == pytest.approx([1.5, 4.5, 7.5], abs=0.25)


def test_too_many_are_refused_until_one_leaves(stored: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake_listening, "STREAMS_MAX", 2)
    listening, model = Listening(), stored()
    with listening.stream(model, MANNER, print):
        second = listening.stream(model, MANNER, print)
        with second, pytest.raises(Busy, match="2 streams"), listening.stream(model, MANNER, print):
            pass
        with listening.stream(model, MANNER, print):
            pass


def test_when_it_breaks_all_are_told_and_the_next_one_is_heard(stored: Callable[..., Path]) -> None:
    listening, model = Listening(), stored()

    class Broken(RuntimeError):
        """What nobody reckoned with."""

    def break_down(scores: list[Score]) -> None:
        raise Broken

    caught: list[object] = []
    hook, threading.excepthook = threading.excepthook, lambda args: caught.append(args.exc_type)
    try:
        with listening.stream(model, MANNER, break_down) as stream, listening.stream(model, MANNER, print) as other:
            stream.feed(sound(WORD))
            eventually(lambda: stream.lost and other.lost)
            for each in (stream, other):
                with pytest.raises(StreamLost):
                    each.feed(sound(WORD))
    finally:
        threading.excepthook = hook
    assert caught == [Broken]
    heard: list[Score] = []
    with listening.stream(model, MANNER, heard.extend) as stream:
        stream.feed(sound(WORD))
        eventually(lambda: any(score.detected for score in heard))


# --- Detectors -------------------------------------------------------------------------------------------------------


def test_who_uses_the_same_file_shares_its_detector(stored: Callable[..., Path]) -> None:
    scorers, model = Scorers(), stored()
    assert scorers.get(model) is scorers.get(model)
    # What is loaded needs no file any more.
    model.unlink()
    assert scorers.get(model) is not None


def test_some_detectors_are_kept_and_those_in_use_always(
    stored: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_listening, "KEPT", 2)
    scorers = Scorers()
    held = scorers.get(stored("held"))
    for number in range(4):
        scorers.get(stored(f"number {number}"))
    gc.collect()
    assert set(scorers._used) == {"held", "number 2", "number 3"}
    assert scorers.get(stored("held")) is held


def test_a_file_that_is_none_is_refused(stored: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        Scorers().get(stored("bad", b"PK nothing"))
    with pytest.raises(FileNotFoundError):
        Scorers().get(tmp_path / "not there")


# --- What is told ----------------------------------------------------------------------------------------------------


def test_no_detection_is_swallowed_and_of_the_rest_the_highest_is_told() -> None:
    hits = {0.24, 0.32, 1.6}
    scores = [Score(round(0.08 * n, 2), 0.0, (n * 7 % 10) / 10, round(0.08 * n, 2) in hits) for n in range(1, 26)]
    groups = Groups()
    told = [each for start in range(0, len(scores), 3) for each in groups.of(scores[start : start + 3])]
    assert {score.time_seconds for score, _ in told if score.detected} == hits
    times = [0.0] + [score.time_seconds for score, _ in told]
    assert max(np.diff(times)) <= 0.41
    for begin, (score, confidence) in zip(times, told, strict=False):
        stretch = [each.smoothed for each in scores if begin < each.time_seconds <= score.time_seconds]
        assert confidence == (score.smoothed if score.detected else max(stretch))


# --- Sound -----------------------------------------------------------------------------------------------------------


def test_samples_survive_as_they_came() -> None:
    kept = sound(WORD, 44_100)
    samples, rate = soundfile.read(io.BytesIO(wav(kept)), dtype="int16")
    assert rate == 44_100
    np.testing.assert_array_equal(samples, np.frombuffer(pcm(WORD), "<i2"))
    np.testing.assert_array_equal(sound_of(wav(kept), 8_000).samples, samples)
    assert sound_of(wav(kept), 8_000).rate_hz == 44_100


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_wav_files_of_two_kinds_are_read(form: str, subtype: str) -> None:
    stereo = np.stack([WORD, -0.5 * WORD], axis=1)
    found = sound_of(file_of(stereo, 22_050, form, subtype=subtype), RATE)
    assert found.rate_hz == 22_050
    np.testing.assert_allclose(found.samples, stereo.mean(axis=1) * 32768, atol=2)


def test_a_streamed_wav_file_that_says_it_never_ends_is_read() -> None:
    content = bytearray(wav(sound(WORD)))
    content[4:8] = content[40:44] = b"\xff" * 4
    assert len(sound_of(bytes(content), RATE).samples) == len(WORD)


def test_floats_that_are_none_are_silence() -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 2.0, -2.0, 0.5], np.float32)
    found = sound_of(file_of(bad, subtype="FLOAT"), RATE).samples
    assert found.tolist() == [0, 0, 0, 32767, -32767, 16384]


@pytest.mark.parametrize("cut", [0, 4, 12, 20, 36, 43])
def test_a_wav_file_that_ends_in_its_header_is_refused(cut: int) -> None:
    content = wav(sound(WORD))[:cut]
    if cut < 4:
        assert len(sound_of(content, RATE).samples) == 0
    else:
        with pytest.raises(Invalid, match="WAV"):
            sound_of(content, RATE)


def test_the_last_of_several_sounds_is_one() -> None:
    parts = [sound(WORD[:10_000]), sound(WORD[10_000:10_001]), sound(WORD[10_001:])]
    np.testing.assert_array_equal(last_of(parts, 2.0).samples, sound(WORD).samples[-2 * RATE :])
    np.testing.assert_array_equal(last_of(parts, 9.0).samples, sound(WORD).samples)
