"""Frames of sound: equal to the packaged graphs', and the same for a clip, a stream and many streams together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from workers.tts.onnx_session import open_session
from workers.wakeword import embedding_graph
from workers.wakeword.features import RATE_HZ, feed_together, frontend
from workers.wakeword.spectrum import CHUNK, FOR_EMBEDDING, FOR_SCRATCH, mel_filters, pcm16

BOTH = pytest.mark.parametrize("name", ["embedding", "mel"])


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Bursts of noise of many levels, and between them digital silence."""
    random = np.random.default_rng(seed)
    levels = random.choice([0, 1e-4, 0.003, 0.05, 0.3], round(seconds * 10) + 1).repeat(RATE_HZ // 10)
    count = round(seconds * RATE_HZ)
    return np.clip(random.normal(0, 1, count) * levels[:count], -1, 1).astype(np.float32)


def test_the_filters_are_those_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    for bands, lowest, highest in [(32, 60, 3800), (40, 60, 7600)]:
        theirs = librosa.filters.mel(sr=RATE_HZ, n_fft=512, n_mels=bands, fmin=lowest, fmax=highest)
        np.testing.assert_allclose(mel_filters(bands, lowest, highest), theirs.T, atol=1e-8)


def test_the_spectrum_is_that_of_the_packaged_graph_chunk_by_chunk() -> None:
    packaged = open_session(embedding_graph.packaged().with_name("melspectrogram.onnx"), 1)
    pcm = pcm16(sound(2))
    # Its window begins 56 samples later, and it adds what openWakeWord does outside.
    padded = np.pad(pcm, (480, 0))
    pieces = [padded[None, start : start + 1760] for start in range(0, len(pcm) - CHUNK + 1, CHUNK)]
    theirs = np.concatenate([packaged.run(None, {"input": piece})[0][0, 0] / 10 + 2 for piece in pieces])
    ours = FOR_EMBEDDING.frames(np.pad(pcm, (FOR_EMBEDDING.history, 0))[None])[0]
    assert ours.shape == theirs.shape == (200, 32)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_embeddings_are_those_of_the_packaged_graph() -> None:
    packaged = open_session(embedding_graph.packaged(), 1)
    samples = sound(3)
    frames = FOR_EMBEDDING.frames(np.pad(pcm16(samples), (FOR_EMBEDDING.history, 0))[None])
    ends = range(80, frames.shape[1] + 1, 8)
    theirs = np.stack([packaged.run(None, {"input_1": frames[:, end - 76 : end, :, None]})[0].ravel() for end in ends])
    ours = frontend("embedding").frames(samples)
    assert ours.shape == theirs.shape == (28, 96)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.ptp(theirs) > 10


@BOTH
def test_two_seconds_are_one_window(name: str) -> None:
    front = frontend(name)
    assert front.frames(sound(2)).shape == (front.window_frames, front.width)
    assert front.hop_seconds == pytest.approx(CHUNK / RATE_HZ / front.chunk_frames)


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_of_pieces_gives_what_the_clip_gives(name: str, seed: int) -> None:
    samples, random = sound(6, seed), np.random.default_rng(seed)
    stream, parts, start = frontend(name).stream(), [], 0
    while start < len(samples):
        # Also pieces of nothing, of less than a frame, and of more than is worked on at once.
        size = int(random.choice([0, 1, 100, 1279, 1280, 1281, 5000, 70_000]))
        parts.append(stream.feed(samples[start : start + size]))
        start += size
    whole = frontend(name).frames(samples)
    assert np.concatenate(parts).shape == whole.shape
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


@BOTH
def test_clips_together_give_what_each_gives_alone(name: str) -> None:
    clips = [sound(2, 1), sound(2, 2), sound(0.5, 3), sound(0, 4), sound(9, 5), sound(2, 6)]
    for alone, together in zip(clips, frontend(name).batch(clips), strict=True):
        np.testing.assert_allclose(together, frontend(name).frames(alone), atol=1e-4)


def test_streams_of_both_frontends_go_together() -> None:
    streams = [frontend("mel").stream(), frontend("embedding").stream(), frontend("mel").stream()]
    pieces = [sound(2, 1), sound(3, 2), sound(1, 3)]
    shapes = [frames.shape for frames in feed_together(list(zip(streams, pieces, strict=True)))]
    assert shapes == [(200, 40), (28, 96), (96, 40)]


@BOTH
def test_silence_before_a_stream_is_as_if_it_had_been_fed(name: str) -> None:
    front = frontend(name)
    stream, window = front.after_silence(front.window_frames)
    assert window.shape == (front.window_frames, front.width)
    spoken = sound(1)
    whole = front.frames(np.concatenate((np.zeros(100 * CHUNK, np.float32), spoken)))
    frames = stream.feed(spoken)
    assert len(frames) == 12 * front.chunk_frames
    np.testing.assert_allclose(frames, whole[-len(frames) :], atol=1e-4)


@BOTH
def test_what_is_no_number_or_too_loud_does_no_harm(name: str) -> None:
    bad = sound(2)
    bad[5000], bad[6000], bad[7000] = np.nan, np.inf, 50
    mended = bad.copy()
    mended[[5000, 6000]], mended[7000] = 0, 1
    frames = frontend(name).frames(bad)
    assert np.isfinite(frames).all()
    np.testing.assert_array_equal(frames, frontend(name).frames(mended))


def test_digital_silence_looks_like_a_silent_room() -> None:
    silence = frontend("mel").frames(np.zeros(RATE_HZ, np.float32))
    room = frontend("mel").frames(np.random.default_rng(0).normal(0, 1 / 32768, RATE_HZ).astype(np.float32))
    speech = frontend("mel").frames(np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32))
    assert np.abs(silence - room.mean()).max() < 0.5
    assert speech.mean() - room.mean() > 3


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'mfcc'"):
        frontend("mfcc")  # type: ignore[arg-type]


def test_the_floor_is_that_of_the_chunk() -> None:
    quiet, loud = np.zeros((1, CHUNK)), np.zeros((1, CHUNK))
    loud[0, ::2] = 20_000
    joined = np.concatenate((np.zeros((1, FOR_EMBEDDING.history)), quiet, loud), axis=1).astype(np.float32)
    frames = FOR_EMBEDDING.frames(joined)[0]
    # -100 dB where there is nothing, whatever comes later; where there is something, 80 dB below the loudest of it.
    assert frames[:5].max() == pytest.approx(-8)
    assert np.ptp(frames[8:]) == pytest.approx(8)
    assert FOR_SCRATCH.depth is None
