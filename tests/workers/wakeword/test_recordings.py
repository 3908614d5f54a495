"""A recording is taken if there is a word in it, and else refused by name."""

from __future__ import annotations

import io
import tracemalloc
import wave
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from config.versions import AUDIO_FORMATS
from workers.audio.clip import Clip
from workers.audio.codec import encode
from workers.errors import BadInput
from workers.wakeword.recordings import Recording, check, clipped_share, length, pitch_hz


def word(seconds: float = 0.8, rate: int = 16_000, pitch: float = 120.0) -> NDArray[np.float32]:
    """Something voiced that swells three times, as syllables do."""
    time = np.arange(round(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in range(1, 12))
    return (0.12 * voice * np.abs(np.sin(np.pi * 3 * time / seconds)) ** 0.7).astype(np.float32)


def around(samples: NDArray[np.float32], rate: int, noise: float, seconds: float = 0.5) -> NDArray[np.float32]:
    """The word with noise of that root mean square before, under and after it."""
    pad = np.zeros(round(seconds * rate), np.float32)
    whole = np.concatenate([pad, samples, pad])
    return whole + np.random.default_rng(3).standard_normal(len(whole)).astype(np.float32) * np.float32(noise)


def as_file(samples: NDArray[np.float32], rate: int, form: str = "WAV", **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, **options)
    return file.getvalue()


def refused(content: bytes, name: str = "first.wav") -> BadInput:
    with pytest.raises(BadInput) as caught:
        check(content, name)
    assert name in caught.value.message
    return caught.value


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz_and_what_is_around_the_word_goes(rate: int) -> None:
    recording = check(as_file(around(word(0.8, rate), rate, 0.0005), rate), "first.wav")
    assert recording.samples.dtype == np.float32
    assert recording.source_rate_hz == rate
    assert recording.seconds == pytest.approx(0.8 + 2 * 0.08, abs=0.06)
    assert pitch_of(recording) == pytest.approx(120, rel=0.03)


def pitch_of(recording: Recording) -> float:
    pytest.importorskip("librosa")
    pitch = pitch_hz(recording.samples)
    assert pitch is not None
    return pitch


@pytest.mark.parametrize("form", ["mp3", "opus", "flac", "aac"])
def test_any_usual_format_is_read(form: str) -> None:
    clip = Clip(around(word(0.8, 48_000), 48_000, 0.0005), 48_000)
    recording = check(encode(clip, AUDIO_FORMATS[form]), f"first.{form}")
    assert recording.seconds == pytest.approx(0.96, abs=0.1)


def test_two_channels_become_their_mean() -> None:
    one = around(word(), 16_000, 0.0005)
    recording = check(as_file(np.stack([one, one], axis=1), 16_000), "first.wav")
    assert recording.seconds == pytest.approx(0.96, abs=0.06)


def test_a_text_file_is_refused_whatever_its_name_says() -> None:
    assert refused(b"this is no sound, it only says so in its name\n" * 40, "hello.wav").code == "not_audio"
    assert refused(b"", "empty.wav").code == "not_audio"


def test_silence_is_refused_digital_or_nearly() -> None:
    assert refused(as_file(np.zeros(32_000, np.float32), 16_000)).code == "recording_silent"
    nearly = np.random.default_rng(1).standard_normal(32_000).astype(np.float32) * 1e-4
    assert refused(as_file(nearly, 16_000)).code == "recording_silent"


def test_noise_or_a_hum_without_a_word_is_refused() -> None:
    noise = np.random.default_rng(1).standard_normal(32_000).astype(np.float32) * 0.1
    assert refused(as_file(noise, 16_000)).code == "recording_no_speech"
    hum = 0.3 * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000).astype(np.float32)
    assert refused(as_file(hum, 16_000)).code == "recording_no_speech"


def test_a_tenth_of_a_second_is_too_short_and_said_so() -> None:
    fault = refused(as_file(word(0.1), 16_000))
    assert (fault.code, fault.message) == ("recording_too_short", "recording 'first.wav' lasts 0.10 s, less than 0.3 s")


def test_a_click_in_a_long_silence_is_too_short_too() -> None:
    click = np.zeros(32_000, np.float32)
    click[16_000:16_400] = word(0.025)
    assert refused(as_file(click, 16_000)).code == "recording_too_short"


def test_a_minute_is_too_long_by_its_header_and_twelve_seconds_by_what_is_in_it() -> None:
    fault = refused(as_file(np.zeros(61 * 8_000, np.float32), 8_000))
    assert (fault.code, "61.00 s" in fault.message) == ("recording_too_long", True)
    assert refused(as_file(word(12.0), 16_000)).code == "recording_too_long"


def test_a_word_in_the_middle_of_twenty_seconds_of_quiet_is_taken() -> None:
    recording = check(as_file(around(word(), 16_000, 0.0005, seconds=10), 16_000), "first.wav")
    assert recording.seconds == pytest.approx(0.96, abs=0.06)


def test_clipping_is_accepted_with_a_warning_that_names_the_recording() -> None:
    clipped = np.clip(around(word(), 16_000, 0.0005) * 6, -1, 1)
    recording = check(as_file(clipped, 16_000), "loud.wav")
    assert recording.clipped_share > 0.01
    assert any("'loud.wav' is clipped" in warning for warning in recording.warnings)


def test_clipping_below_full_scale_is_seen_and_a_loud_clean_word_has_none() -> None:
    clean = around(word(), 16_000, 0.0)
    assert clipped_share(np.clip(clean * 6, -1, 1) * np.float32(0.7)) > 0.01
    assert clipped_share(clean / np.abs(clean).max()) < 0.001


@pytest.mark.parametrize("wanted", [5, 10, 20, 30])
def test_the_ratio_to_the_noise_is_estimated_within_three_decibels(wanted: int) -> None:
    speech = word()
    noise = float(np.sqrt(np.mean(speech**2))) / 10 ** (wanted / 20)
    recording = check(as_file(around(speech, 16_000, noise), 16_000, subtype="FLOAT"), "first.wav")
    # What is estimated is the loud half of the word, which lies above its mean.
    assert wanted - 1 <= recording.snr_db <= wanted + 5
    assert any("noisy" in warning for warning in recording.warnings) == (wanted <= 10)


def test_a_quiet_recording_and_one_at_8_khz_are_taken_with_a_warning() -> None:
    (quiet,) = check(as_file(around(word() * 0.01, 16_000, 0.0), 16_000), "far.wav").warnings
    assert "'far.wav' is quiet" in quiet
    (narrow,) = check(as_file(around(word(rate=8_000), 8_000, 0.0005), 8_000), "phone.wav").warnings
    assert "lacks the sounds above 4000 Hz" in narrow


def test_a_wav_of_eight_bits_from_the_standard_library_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(11_025)
        writer.writeframes((around(word(rate=11_025) * 2, 11_025, 0.0) * 127 + 128).astype(np.uint8).tobytes())
    assert check(file.getvalue(), "old.wav").source_rate_hz == 11_025


def endless_flac(seconds: float) -> bytes:
    """As one that was streamed: it does not say how long it is."""
    content = bytearray(as_file(np.zeros(round(seconds * 16_000), np.float32), 16_000, "FLAC"))
    # The 36 bits of STREAMINFO that count samples.
    start = content.index(b"fLaC") + 8 + 13
    content[start] &= 0xF0
    content[start + 1 : start + 5] = bytes(4)
    return bytes(content)


@pytest.mark.parametrize("look", [check, length])
def test_hours_in_a_small_file_are_not_decoded(look: Callable[[bytes, str], object]) -> None:
    content = endless_flac(7200)
    assert len(content) < 1_000_000
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"first\.flac.*more than 60 s"):
        look(content, "first.flac")
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Two hours are 460 MB; a minute and the part that shows that there is more are 5.
    assert highest < 30_000_000


def test_what_is_louder_than_any_loudspeaker_is_the_same_recording() -> None:
    plain = around(word(), 16_000, 0.0005)
    loud = check(as_file(plain * np.float32(1e30), 16_000, "WAV", subtype="FLOAT"), "loud.wav")
    assert np.abs(loud.samples).max() <= 1.01
    usual = check(as_file(plain, 16_000), "usual.wav")
    assert loud.seconds == pytest.approx(usual.seconds, abs=0.03)
