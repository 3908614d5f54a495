"""Files and streams of all formats: their length, loudness and peak against the clip's, and when bytes come out."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from hibari import Hibari
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.versions import AUDIO_FORMATS
from workers.audio import codec, demux
from workers.audio.clip import Clip
from workers.audio.encoder import StreamEncoder
from workers.audio.loudness import measure, true_peak
from workers.errors import BadInput

RATE = 24000
LOSSY = ["mp3", "opus", "aac"]
RATES = [(name, rate) for name, form in AUDIO_FORMATS.items() for rate in form.rates_hz or (8000, 11025, 24000, 48000)]


@pytest.fixture(scope="module")
def speech() -> Clip:
    """Eight seconds of a voice."""
    text = "It costs five dollars and a quarter, or so they say; but nobody knows for certain, do they?"
    return Clip(np.asarray(Hibari()(text, seed=0), np.float32), RATE)


def decoded(content: bytes, name: str, rate: int, channels: int = 1) -> Clip:
    """A file's sound; bare PCM says neither its rate nor its channels."""
    if name == "pcm":
        samples = np.frombuffer(content, "<i2").reshape(-1, channels)
        assert (samples == samples[:, :1]).all()
        return Clip(samples[:, 0].astype(np.float32) / 32768, rate)
    return codec.decode(content)


def streamed(encoder: StreamEncoder, samples: NDArray[np.float32], cuts: list[int]) -> bytes:
    parts = [encoder.feed(part) for part in np.split(samples, sorted(cuts))]
    return b"".join([*parts, encoder.finish()])


def decibels(ratio: float) -> float:
    return float(20 * np.log10(ratio))


# --- Whole files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "rate"), RATES)
def test_every_format_at_every_rate_is_as_long_as_the_clip(name: str, rate: int, channels: int, speech: Clip) -> None:
    clip = Clip(speech.samples[: 3 * RATE + 77], RATE)
    content = codec.encode(clip, AUDIO_FORMATS[name], sample_rate_hz=rate, channels=channels)
    back = decoded(content, name, rate, channels)
    assert back.sample_rate_hz == rate
    if name != "pcm":
        made = demux.read(content)
        assert made is not None, "FFmpeg's own decoders read it too"
        assert made.duration_seconds == pytest.approx(back.duration_seconds, abs=0.005)
    extra = back.duration_seconds - clip.duration_seconds
    if name == "aac":  # what ADTS cannot say: the last frame is filled up
        assert -0.001 <= extra <= 1024 / rate
    else:
        assert abs(extra) <= 0.001


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_decoded_file_sounds_as_loud_as_the_clip(name: str, speech: Clip) -> None:
    content = codec.encode(speech, AUDIO_FORMATS[name])
    started = time.process_time()
    codec.encode(speech, AUDIO_FORMATS[name])
    cost = (time.process_time() - started) / speech.duration_seconds * 60_000
    back = decoded(content, name, RATE)
    was, now = measure(speech), measure(back)
    assert was is not None
    assert now is not None
    peak = decibels(true_peak(back) / true_peak(speech))
    longer = (back.duration_seconds - speech.duration_seconds) * 1000
    # With -s: the table of what each format does to sound.
    print(
        f"{name:5} {len(content) * 8 / speech.duration_seconds / 1000:6.1f} kbit/s  {longer:+6.2f} ms  "
        f"{now - was:+5.2f} LU  peak {peak:+5.2f} dB  {cost:4.0f} CPU ms a minute"
    )
    assert abs(now - was) <= 0.3
    assert abs(peak) <= (1.5 if name in LOSSY else 0.01)


@pytest.mark.parametrize("name", LOSSY)
def test_a_decoded_file_begins_where_the_clip_does(name: str, speech: Clip) -> None:
    at_once = Clip(speech.samples[RATE:], RATE)
    assert np.abs(at_once.samples[:1024]).max() > 0.01
    for clip, delay in ((speech, 0), (at_once, 1024 if name == "aac" else 0)):
        back = decoded(codec.encode(clip, AUDIO_FORMATS[name]), name, RATE)
        size = 1 << 19
        both = np.fft.rfft(back.samples, size) * np.conj(np.fft.rfft(clip.samples, size))
        shift = int(np.argmax(np.fft.irfft(both, size)))
        assert abs((shift if shift < size // 2 else shift - size) - delay) <= 24, "a millisecond"
        if not delay:
            assert np.abs(back.samples[:2400] - clip.samples[:2400]).max() < 0.1 * np.abs(clip.samples).max()


@pytest.mark.parametrize("name", AUDIO_FORMATS)
@pytest.mark.parametrize("length", [1, 2, 100])
def test_the_shortest_clips_are_files_too(name: str, length: int) -> None:
    content = codec.encode(Clip(np.full(length, 0.5, np.float32), RATE), AUDIO_FORMATS[name])
    back = decoded(content, name, RATE)
    assert length <= len(back.samples) <= (2048 if name == "aac" else length + 0.005 * RATE)


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_impossible_samples_make_an_ordinary_file(name: str) -> None:
    samples = np.random.default_rng(0).uniform(-9, 9, RATE).astype(np.float32)
    samples[::7], samples[1::7], samples[2::7] = np.nan, np.inf, -np.inf
    for content in (
        codec.encode(Clip(samples, RATE), AUDIO_FORMATS[name]),
        streamed(StreamEncoder(AUDIO_FORMATS[name], RATE), samples, []),
    ):
        back = decoded(content, name, RATE)
        assert np.isfinite(back.samples).all()
        # A lossy format may pass full scale by what it leaves out of such a noise.
        assert 0.5 < np.abs(back.samples).max() < 4


def test_a_new_rate_keeps_the_tone() -> None:
    tone = Clip((0.5 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)).astype(np.float32), RATE)
    back = codec.decode(codec.encode(tone, AUDIO_FORMATS["wav"], sample_rate_hz=44100))
    assert len(back.samples) == 44100
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    assert np.abs(back.samples - wanted)[2000:-2000].max() < 1e-3


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_sound_in_other_containers_is_read(container: str, speech: Clip) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("aac", rate=RATE, layout="mono", format="fltp")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(speech.samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    back = codec.decode(file.getvalue())
    assert back.duration_seconds == pytest.approx(speech.duration_seconds, abs=0.1)
    assert measure(back) == pytest.approx(measure(speech), abs=0.3)


def test_a_playlist_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Clip) -> None:
    (tmp_path / "other.wav").write_bytes(codec.encode(speech, AUDIO_FORMATS["wav"]))
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile other.wav\n"
    with av.open(io.BytesIO(playlist)) as file:
        assert file.streams.audio, "as FFmpeg alone does"
    with pytest.raises(BadInput):
        codec.decode(playlist)


def test_files_that_soundfile_cannot_read_are_read_by_ffmpeg() -> None:
    aac = codec.encode(Clip(np.full(RATE, 0.25, np.float32), RATE), AUDIO_FORMATS["aac"], channels=2)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(io.BytesIO(aac))
    assert codec.decode(aac).samples[4096:8192].mean() == pytest.approx(0.25, abs=0.01)


# --- Streams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUDIO_FORMATS)
@pytest.mark.parametrize("rate", [None, 48000])
def test_a_stream_is_the_same_in_any_cut(name: str, rate: int | None, speech: Clip) -> None:
    samples = speech.samples[RATE : 2 * RATE + 1234]

    @settings(max_examples=8, deadline=None)
    @given(st.lists(st.integers(0, len(samples)), max_size=30))
    def check(cuts: list[int]) -> None:
        encoder = StreamEncoder(AUDIO_FORMATS[name], RATE, sample_rate_hz=rate, channels=2)
        assert streamed(encoder, samples, cuts) == at_once

    at_once = streamed(StreamEncoder(AUDIO_FORMATS[name], RATE, sample_rate_hz=rate, channels=2), samples, [])
    check()


@pytest.mark.parametrize("source", [24000, 22050])
@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_stream_holds_what_a_whole_file_holds(name: str, source: int, speech: Clip) -> None:
    clip = Clip(speech.samples, source)
    encoder = StreamEncoder(AUDIO_FORMATS[name], source)
    rate = encoder.sample_rate_hz
    stream = decoded(streamed(encoder, clip.samples, list(range(0, len(clip.samples), 5000))), name, rate)
    whole = decoded(codec.encode(clip, AUDIO_FORMATS[name]), name, rate)
    assert stream.sample_rate_hz == whole.sample_rate_hz == rate
    # An MP3 stream has the encoder's delay before the sound and fills the last frame.
    delay = 1105 if name == "mp3" else 0
    assert 0 <= len(stream.samples) - len(whole.samples) - delay <= (1152 if name == "mp3" else 0)
    if name in LOSSY:
        assert measure(stream) == pytest.approx(measure(whole), abs=0.1)
    else:
        assert np.array_equal(stream.samples, whole.samples)


# Milliseconds of sound until the first bytes, and until the first bytes that hold sound.
SOON = {"wav": (5, 5), "pcm": (5, 5), "flac": (105, 210), "mp3": (55, 80), "opus": (20, 80), "aac": (95, 140)}


@pytest.mark.parametrize("rate", [22050, 24000, 44100, 48000])
@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_bytes_come_out_soon(name: str, rate: int, speech: Clip) -> None:
    form = AUDIO_FORMATS[name]
    if not form.takes(rate):
        pytest.skip(f"{name} has no {rate} Hz")
    samples = soxr.resample(speech.samples[RATE:], RATE, rate).astype(np.float32)
    encoder = StreamEncoder(form, rate)
    step = round(0.005 * rate)
    came = [5 * (number + 1) for number in range(80) if encoder.feed(samples[number * step : (number + 1) * step])]
    assert came[0] <= SOON[name][0]
    assert came[1] <= max(SOON[name][1], 10)
    assert max(later - earlier for earlier, later in pairwise(came)) <= 110, "and go on coming"


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_bytes_come_out_soon_at_another_rate(name: str, speech: Clip) -> None:
    encoder = StreamEncoder(AUDIO_FORMATS[name], 22050, sample_rate_hz=24000)
    assert encoder.feed(speech.samples[RATE : RATE + round(0.150 * 22050)])


def test_a_streamed_wav_has_no_end_in_its_header_and_players_read_on() -> None:
    encoder = StreamEncoder(AUDIO_FORMATS["wav"], RATE, channels=2)
    content = encoder.feed(np.full(1000, 0.5, np.float32)) + encoder.finish()
    assert content[4:8] == content[40:44] == b"\xff\xff\xff\xff"
    assert len(codec.decode(content).samples) == 1000
    by_ffmpeg = demux.read(content)
    assert by_ffmpeg is not None
    assert len(by_ffmpeg.samples) == 1000


def test_a_streamed_flac_says_that_its_length_is_unknown() -> None:
    encoder = StreamEncoder(AUDIO_FORMATS["flac"], RATE)
    content = encoder.feed(np.full(RATE, 0.5, np.float32)) + encoder.finish()
    assert content[:4] == b"fLaC"
    # STREAMINFO: 36 bits of samples after 20 + 3 + 5 bits of rate, channels and depth, from byte 18 on.
    assert int.from_bytes(content[18:26], "big") & (1 << 36) - 1 == 0
    assert len(codec.decode(content).samples) == RATE


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_stream_ends_once(name: str) -> None:
    encoder = StreamEncoder(AUDIO_FORMATS[name], RATE)
    encoder.feed(np.zeros(RATE, np.float32))
    encoder.finish()
    assert encoder.finish() == b""
    with pytest.raises(ValueError, match="finished"):
        encoder.feed(np.zeros(1, np.float32))


@pytest.mark.parametrize("name", AUDIO_FORMATS)
@pytest.mark.parametrize("rate", [None, 48000])
def test_a_stream_of_nothing_is_at_most_a_header(name: str, rate: int | None) -> None:
    encoder = StreamEncoder(AUDIO_FORMATS[name], RATE, sample_rate_hz=rate)
    content = encoder.feed(np.zeros(0, np.float32)) + encoder.finish()
    if name in ("wav", "flac"):
        assert len(codec.decode(content).samples) == 0
    else:
        assert content == b""


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_a_stream_may_be_left_unfinished(name: str) -> None:
    encoder = StreamEncoder(AUDIO_FORMATS[name], RATE)
    encoder.feed(np.zeros(RATE, np.float32))
    del encoder


def test_a_stream_refuses_what_its_format_cannot_have() -> None:
    with pytest.raises(BadInput, match="opus has no sample rate of 22050 Hz"):
        StreamEncoder(AUDIO_FORMATS["opus"], RATE, sample_rate_hz=22050)
    with pytest.raises(BadInput, match="3 channels"):
        StreamEncoder(AUDIO_FORMATS["wav"], RATE, channels=3)
