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
from workers.errors import BadInput

RATE = 24000
# Those that hold every sample as it is; the others are in test_encoders.py.
LOSSLESS = ["wav", "flac", "pcm"]


def tone(seconds: float = 0.5, peak: float = 0.8) -> Clip:
    at = np.arange(round(seconds * RATE)) / RATE
    return Clip((peak * np.sin(2 * np.pi * 440 * at)).astype(np.float32), RATE)


def pcm(content: bytes, name: str = "wav") -> NDArray[np.int16]:
    if name == "pcm":
        return np.frombuffer(content, "<i2")
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


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_a_file_holds_the_clip_at_its_rate_and_length(name: str) -> None:
    clip = tone()
    back = codec.decode(codec.encode(clip, AUDIO_FORMATS[name]))
    assert (back.sample_rate_hz, len(back.samples), back.samples.dtype) == (RATE, len(clip.samples), np.float32)
    assert np.abs(back.samples - clip.samples).max() <= 0.5 / 32768 + 1e-7


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_16_bit_sample_survives_a_round_trip_exactly(name: str) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, every, RATE, format="WAV", subtype="PCM_16")
    again = codec.encode(codec.decode(file.getvalue()), AUDIO_FORMATS[name])
    assert np.array_equal(pcm(again, name), every)


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_file_is_the_same_whether_it_is_made_from_the_clip_or_from_the_kept_one(name: str) -> None:
    rng = np.random.default_rng(1)
    clip = Clip(rng.uniform(-1.2, 1.2, 50_000).astype(np.float32), RATE)
    kept = codec.decode(codec.encode(clip, CLIP_FORMAT))
    for rate in (None, 48000):
        direct, derived = (codec.encode(one, AUDIO_FORMATS[name], sample_rate_hz=rate) for one in (clip, kept))
        assert direct == derived


def test_all_lossless_formats_hold_the_same_samples() -> None:
    rng = np.random.default_rng(1)
    clip = Clip(rng.uniform(-1.2, 1.2, 50_000).astype(np.float32), RATE)
    wav, flac, raw = (pcm(codec.encode(clip, AUDIO_FORMATS[name]), name) for name in LOSSLESS)
    assert np.array_equal(wav, flac)
    assert np.array_equal(wav, raw)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=200), st.sampled_from(LOSSLESS))
def test_samples_are_rounded_to_the_nearest_and_clipped_never_wrapped(values: list[float], name: str) -> None:
    clip = Clip(np.array(values, np.float32), RATE)
    written = pcm(codec.encode(clip, AUDIO_FORMATS[name]), name).astype(np.float64)
    wanted = np.clip(np.array(values, np.float64) * 32768, -32768, 32767)
    assert len(written) == len(values)
    assert np.abs(written - wanted).max() <= 0.5


@pytest.mark.parametrize("name", LOSSLESS)
def test_what_is_no_number_or_infinite_becomes_silence(name: str) -> None:
    clip = Clip(np.array([0.5, np.nan, np.inf, -np.inf, -0.5], np.float32), RATE)
    assert pcm(codec.encode(clip, AUDIO_FORMATS[name]), name).tolist() == [16384, 0, 0, 0, -16384]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_has_exact_headers(channels: int) -> None:
    content = codec.encode(tone(), AUDIO_FORMATS["wav"], channels=channels)
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (channels, 2, RATE)
        assert file.getnframes() == 12000


def test_a_wav_is_the_one_that_soundfile_writes() -> None:
    file = io.BytesIO()
    soundfile.write(file, pcm(codec.encode(tone(), CLIP_FORMAT)), RATE, format="WAV", subtype="PCM_16")
    assert codec.encode(tone(), CLIP_FORMAT) == file.getvalue()


@pytest.mark.parametrize("name", LOSSLESS)
def test_two_channels_hold_the_same(name: str) -> None:
    one, two = (pcm(codec.encode(tone(), AUDIO_FORMATS[name], channels=count), name) for count in (1, 2))
    assert np.array_equal(two.reshape(-1, 2), np.stack([one, one], axis=1))


def test_a_flac_is_a_flac_and_smaller() -> None:
    flac, wav = (codec.encode(tone(), AUDIO_FORMATS[name]) for name in ("flac", "wav"))
    assert flac[:4] == b"fLaC"
    assert len(flac) < len(wav) / 1.5


def test_an_empty_clip_is_a_wav_too_but_formats_made_of_frames_cannot_hold_it() -> None:
    empty = Clip(np.zeros(0, np.float32), RATE)
    assert len(codec.decode(codec.encode(empty, CLIP_FORMAT, sample_rate_hz=48000)).samples) == 0
    assert codec.encode(empty, AUDIO_FORMATS["pcm"]) == b""
    for name in ("flac", "mp3", "opus", "aac"):
        with pytest.raises(BadInput, match=f"0 samples cannot be put into {name}"):
            codec.encode(empty, AUDIO_FORMATS[name])


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_the_same_clip_makes_the_same_file(name: str) -> None:
    assert codec.encode(tone(), AUDIO_FORMATS[name]) == codec.encode(tone(), AUDIO_FORMATS[name])


@pytest.mark.parametrize(("name", "rate"), [("opus", 22050), ("mp3", 23000), ("aac", 96000), ("wav", 7999), ("pcm", 0)])
def test_a_rate_that_a_format_cannot_have_is_refused_by_name(name: str, rate: int) -> None:
    with pytest.raises(BadInput, match=f"{name} has no sample rate of {rate} Hz"):
        codec.encode(tone(), AUDIO_FORMATS[name], sample_rate_hz=rate)


@pytest.mark.parametrize("channels", [0, 3])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(BadInput, match=f"{channels} channels"):
        codec.encode(tone(), CLIP_FORMAT, channels=channels)


def test_two_channels_become_their_mean() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([[0.5, 0.25], [-0.5, 0.5]], np.float32), RATE, format="WAV", subtype="FLOAT")
    assert codec.decode(file.getvalue()).samples.tolist() == [0.375, 0.0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"nothing of the kind" * 100,
        # Playlists: FFmpeg would open what they name.
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile pyproject.toml\n",
    ],
)
def test_what_is_no_audio_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        codec.decode(content)
    assert refused.value.code == "not_audio"


# --- Formats ---------------------------------------------------------------------------------------------------------


def test_formats_are_filed_under_their_names() -> None:
    assert {name: form.name for name, form in AUDIO_FORMATS.items()} == {name: name for name in AUDIO_FORMATS}
    assert set(AUDIO_FORMATS) == {"wav", "flac", "mp3", "opus", "aac", "pcm"}


def test_clips_are_kept_as_16_bits_without_loss() -> None:
    assert CLIP_FORMAT is AUDIO_FORMATS["wav"]
    assert soundfile.info(io.BytesIO(codec.encode(tone(), CLIP_FORMAT))).subtype == "PCM_16"


@pytest.mark.parametrize(
    ("name", "engine", "rate"),
    [
        ("wav", 22050, 22050),
        ("opus", 24000, 24000),
        ("opus", 22050, 24000),
        ("opus", 44100, 48000),
        ("mp3", 23000, 24000),
        ("aac", 96000, 48000),
        ("pcm", 4000, 8000),
        ("pcm", 96000, 48000),
    ],
)
def test_without_a_wish_a_file_has_the_engines_rate_or_the_next_higher(name: str, engine: int, rate: int) -> None:
    assert AUDIO_FORMATS[name].rate_for(engine) == rate
