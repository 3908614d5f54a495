"""A file of any length is heard piece by piece, and gives what the same sound gives at once."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("hibari")

from config.versions import AUDIO_FORMATS
from tests.alexa import RATE, STORY, detector_of_alexa, file_of, spoken
from workers.audio import codec, decoding, demux
from workers.audio.clip import Clip
from workers.audio.decoding import Bounds
from workers.errors import BadInput, Stopped
from workers.wakeword import hearing
from workers.wakeword.detector import Detector, Scorer, open_scorer
from workers.wakeword.hearing import hear


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return open_scorer(detector_of_alexa())


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], Path]:
    def put(content: bytes) -> Path:
        (tmp_path / "sent").write_bytes(content)
        return tmp_path / "sent"

    return put


def nobody(seconds: float) -> None:
    """Is told how far it is."""


SOUND = spoken((1.0, "Alexa."), (6.0, STORY), (12.0, "Alexa."), (24.0, "Alexa."), seconds=26)


def test_a_long_file_in_pieces_gives_what_it_gives_at_once(scorer: Scorer, stored: Callable[[bytes], Path]) -> None:
    told: list[float] = []
    heard = hear(stored(file_of(SOUND)), Detector(scorer), told.append)
    whole, _ = soundfile.read(io.BytesIO(file_of(SOUND)), dtype="float32")
    assert list(heard.detections) == Detector(scorer).scan(whole)
    assert len(heard.detections) == 3
    assert heard.confidence == max(score.smoothed for score in Detector(scorer).hear(whole))
    assert (heard.seconds, told) == (26.0, [10.0, 20.0, 26.0, 26.5])
    assert heard.took_seconds > 0


@pytest.mark.parametrize("name", ["mp3", "flac", "opus", "aac"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_every_usual_format_is_heard(scorer: Scorer, stored: Callable[[bytes], Path], name: str, rate: int) -> None:
    clip = Clip(spoken((1.0, "Alexa."), (12.0, "Alexa."), seconds=14, rate=rate), rate)
    heard = hear(stored(codec.encode(clip, AUDIO_FORMATS[name])), Detector(scorer), nobody)
    assert [each.time_seconds for each in heard.detections] == pytest.approx([1.5, 12.5], abs=0.25)
    assert heard.seconds == pytest.approx(14, abs=0.1)


def test_several_channels_are_heard_as_one(scorer: Scorer, stored: Callable[[bytes], Path]) -> None:
    stereo = np.stack([spoken((1.0, "Alexa."), seconds=3), np.zeros(3 * RATE, np.float32)], axis=1)
    assert len(hear(stored(file_of(stereo)), Detector(scorer), nobody).detections) == 1


def test_a_word_at_the_very_end_is_heard(scorer: Scorer, stored: Callable[[bytes], Path]) -> None:
    end = spoken((9.55, "Alexa."), seconds=10)
    assert len(hear(stored(file_of(end)), Detector(scorer), nobody).detections) == 1


def test_what_is_no_sound_is_refused(scorer: Scorer, stored: Callable[[bytes], Path]) -> None:
    for content, code in (
        (b"", "not_audio"),
        (b"This is a text.", "not_audio"),
        (b"RIFF1234WAVEfmt ", "not_audio"),
        (np.random.default_rng(0).bytes(5000), "not_audio"),
        (file_of(np.zeros(0, np.float32)), "no_sound"),
    ):
        with pytest.raises(BadInput) as refused:
            hear(stored(content), Detector(scorer), nobody)
        assert refused.value.code == code, content[:20]


@pytest.mark.parametrize(
    ("channels", "rate", "named"), [(1, 2_000_000_000, "2000000000"), (1024, 48_000, "1024 channels")]
)
def test_nothing_is_made_room_for_that_a_header_merely_says(
    stored: Callable[[bytes], Path], channels: int, rate: int, named: str
) -> None:
    sound = bytes(2 * channels * 100)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, 1, channels, rate, 0, 2, 16)
    with pytest.raises(BadInput, match=named):
        list(decoding.pieces(stored(head + struct.pack("<4sI", b"data", len(sound)) + sound), Bounds(60)))


def test_a_file_that_is_cut_off_is_heard_as_far_as_it_goes_or_refused(
    scorer: Scorer, stored: Callable[[bytes], Path]
) -> None:
    cut = file_of(SOUND)[: 44 + 2 * RATE * 5]
    assert len(hear(stored(cut), Detector(scorer), nobody).detections) == 1
    with pytest.raises(BadInput, match=r"damaged|no audio file"):
        hear(stored(file_of(SOUND, form="FLAC")[:-50_000]), Detector(scorer), nobody)


@pytest.mark.parametrize("name", ["wav", "mp3", "aac"])
def test_what_is_too_long_is_refused_before_it_is_all_heard(
    scorer: Scorer, stored: Callable[[bytes], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "LONGEST_SECONDS", 15)
    told: list[float] = []
    content = codec.encode(Clip(SOUND, RATE), AUDIO_FORMATS[name])
    with pytest.raises(BadInput, match="lasts more than") as refused:
        hear(stored(content), Detector(scorer), told.append)
    assert refused.value.code == "audio_too_long"
    # Whether a header says so or the sound itself.
    assert max(told, default=0.0) <= 15


def test_nobody_waits_for_a_piece_after_the_one_at_which_it_was_stopped(
    scorer: Scorer, stored: Callable[[bytes], Path]
) -> None:
    told: list[float] = []

    def stop(seconds: float) -> None:
        told.append(seconds)
        raise Stopped

    with pytest.raises(Stopped):
        hear(stored(file_of(SOUND)), Detector(scorer), stop)
    assert told == [10.0]


def test_what_only_ffmpeg_reads_comes_in_pieces_that_are_the_whole() -> None:
    content = codec.encode(Clip(SOUND, RATE), AUDIO_FORMATS["aac"])
    pieces = list(demux.pieces(content, 5.0))
    whole = demux.read(content)
    assert whole is not None
    assert len(pieces) == 6
    np.testing.assert_array_equal(np.concatenate([piece.samples for piece in pieces]), whole.samples)
    for bad in (b"", b"nothing", content[:100]):
        with pytest.raises(BadInput):
            list(demux.pieces(bad, 5.0))
