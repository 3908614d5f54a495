"""Clips, and clips as files."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.versions import AUDIO_FORMATS, CLIP_FORMAT
from workers.audio import codec
from workers.audio.clip import Clip, join, silence

RATE = 24000


def tone(seconds: float = 0.5, peak: float = 0.8) -> Clip:
    at = np.arange(round(seconds * RATE)) / RATE
    return Clip((peak * np.sin(2 * np.pi * 440 * at)).astype(np.float32), RATE)


def pcm(content: bytes) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = soundfile.read(io.BytesIO(content), dtype="int16")[0]
    return samples


# --- Clips -----------------------------------------------------------------------------------------------------------


def test_a_clip_lasts_as_long_as_its_samples() -> None:
    assert tone(0.5).duration_seconds == 0.5
    assert Clip(np.zeros(0, np.float32), RATE).duration_seconds == 0.0


def test_silence_is_silent_and_as_long_as_asked() -> None:
    quiet = silence(0.25, RATE)
    assert (quiet.duration_seconds, quiet.sample_rate_hz, quiet.samples.dtype) == (0.25, RATE, np.float32)
    assert not quiet.samples.any()


def test_clips_are_joined_one_after_the_other() -> None:
    joined = join([tone(0.1), silence(0.05, RATE), tone(0.2)], RATE)
    assert joined.duration_seconds == pytest.approx(0.35)
    assert np.array_equal(joined.samples[:2400], tone(0.1).samples)
    assert not joined.samples[2400:3600].any()
    assert np.array_equal(joined.samples[3600:], tone(0.2).samples)


def test_nothing_joined_is_nothing() -> None:
    assert join([], RATE).duration_seconds == 0.0


# --- Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_file_holds_the_clip_at_its_rate_and_length(name: str) -> None:
    clip = tone()
    back = codec.decode(codec.encode(clip, AUDIO_FORMATS[name]))
    assert (back.sample_rate_hz, len(back.samples), back.samples.dtype) == (RATE, len(clip.samples), np.float32)
    assert np.abs(back.samples - clip.samples).max() <= 0.5 / 32768 + 1e-7


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_every_16_bit_sample_survives_a_round_trip_exactly(name: str) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, every, RATE, format="WAV", subtype="PCM_16")
    again = codec.encode(codec.decode(file.getvalue()), AUDIO_FORMATS[name])
    assert np.array_equal(pcm(again), every)


def test_all_formats_of_a_clip_hold_the_same_samples_directly_or_derived() -> None:
    rng = np.random.default_rng(1)
    clip = Clip(rng.uniform(-1.2, 1.2, 50_000).astype(np.float32), RATE)
    direct = [pcm(codec.encode(clip, form)) for form in AUDIO_FORMATS.values()]
    kept = codec.decode(codec.encode(clip, CLIP_FORMAT))
    derived = [pcm(codec.encode(kept, form)) for form in AUDIO_FORMATS.values()]
    for samples in [*direct, *derived]:
        assert np.array_equal(samples, direct[0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=200), st.sampled_from(sorted(AUDIO_FORMATS)))
def test_samples_are_rounded_to_the_nearest_and_clipped_never_wrapped(values: list[float], name: str) -> None:
    clip = Clip(np.array(values, np.float32), RATE)
    written = pcm(codec.encode(clip, AUDIO_FORMATS[name])).astype(np.float64)
    wanted = np.clip(np.array(values, np.float64) * 32768, -32768, 32767)
    assert len(written) == len(values)
    assert np.abs(written - wanted).max() <= 0.5


def test_a_wav_has_exact_headers() -> None:
    content = codec.encode(tone(), AUDIO_FORMATS["wav"])
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, 12000)


def test_a_flac_is_a_flac_and_smaller() -> None:
    flac, wav = (codec.encode(tone(), AUDIO_FORMATS[name]) for name in ("flac", "wav"))
    assert flac[:4] == b"fLaC"
    assert len(flac) < len(wav) / 1.5


def test_an_empty_clip_is_a_wav_too() -> None:
    assert len(codec.decode(codec.encode(Clip(np.zeros(0, np.float32), RATE), AUDIO_FORMATS["wav"])).samples) == 0


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_the_same_clip_makes_the_same_file(name: str) -> None:
    assert codec.encode(tone(), AUDIO_FORMATS[name]) == codec.encode(tone(), AUDIO_FORMATS[name])


def test_two_channels_become_their_mean() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([[0.5, 0.25], [-0.5, 0.5]], np.float32), RATE, format="WAV", subtype="FLOAT")
    assert codec.decode(file.getvalue()).samples.tolist() == [0.375, 0.0]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"nothing of the kind" * 100])
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(soundfile.LibsndfileError):
        codec.decode(content)


def test_clips_are_kept_without_loss() -> None:
    assert CLIP_FORMAT.subtype == "PCM_16"
    assert CLIP_FORMAT.name in AUDIO_FORMATS
    assert {name: form.name for name, form in AUDIO_FORMATS.items()} == {name: name for name in AUDIO_FORMATS}
