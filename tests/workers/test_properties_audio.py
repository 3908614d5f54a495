"""Sound files with damaged headers: each is a clip or refused, and none takes memory for what it only claims."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import wake_sound
from config.versions import AUDIO_FORMATS
from models.errors import Invalid
from workers.audio import codec, decoding
from workers.audio.clip import Clip
from workers.audio.decoding import Bounds
from workers.errors import BadInput
from workers.wakeword import recordings

RATE = 24_000
SECONDS = 30.0
# Above what reading half a second takes. A header may claim hours: of silence, of 32 channels.
MEMORY_BYTES = 300 * 2**20
Change = tuple[int, bytes, bool]


def _tone() -> Clip:
    at = np.arange(RATE // 2) / RATE
    return Clip((0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32), RATE)


def _written(form: str, subtype: str) -> bytes:
    file = BytesIO()
    soundfile.write(file, _tone().samples, RATE, format=form, subtype=subtype)
    return file.getvalue()


FILES = {name: codec.encode(_tone(), form) for name, form in AUDIO_FORMATS.items() if name != "pcm"} | {
    "aiff": _written("AIFF", "PCM_16"),
    "w64": _written("W64", "PCM_16"),
    "caf": _written("CAF", "ALAC_16"),
    "vorbis": _written("OGG", "VORBIS"),
    "ulaw": _written("AU", "ULAW"),
    "float": _written("WAV", "FLOAT"),
}
BEGINNINGS = [b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"FORM", b"\x1aE\xdf\xa3"]
# Most of what a file says of itself stands at its beginning.
PLACE = st.one_of(st.integers(0, 120), st.integers(0, 1000), st.integers(0, 20_000))
BYTES = st.one_of(
    st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff", b"\x80", b"\x01"]),
    st.binary(min_size=1, max_size=8),
)
# Where, what stands there instead, and whether the file ends behind it.
CHANGE = st.tuples(PLACE, BYTES, st.sampled_from([False] * 7 + [True]))
DAMAGED = st.tuples(st.sampled_from(sorted(FILES)), st.lists(CHANGE, min_size=1, max_size=4))


def damaged(name: str, changes: list[Change]) -> bytes:
    """The file with some of its bytes overwritten."""
    content = FILES[name]
    for place, piece, ends in changes:
        start = place % len(content)
        content = content[:start] + piece + (b"" if ends else content[start + len(piece) :])
    return content


def assert_heard_or_refused(content: bytes) -> None:
    """Fails at any other error, and at what lasts longer than it may, wherever files are read."""
    try:
        clip = codec.decode(content, seconds_max=SECONDS)
        assert clip.samples.ndim == 1
        assert clip.sample_rate_hz > 0
        # Decoders add a little at the ends.
        assert clip.duration_seconds <= SECONDS + 1
    except BadInput:
        pass
    try:
        found = recordings.check(content, "word.wav")
        assert np.isfinite(found.samples).all()
    except BadInput as refused:
        assert "word.wav" in refused.message  # noqa: PT017
    try:
        sound = wake_sound.sound_of(content, 16_000)
        assert sound.samples.dtype == np.int16
    except Invalid:
        pass
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            heard = sum(piece.duration_seconds for piece in decoding.pieces(Path(file.name), Bounds(SECONDS)))
            assert heard <= SECONDS + 1
        except BadInput:
            pass


def within_memory(work: Callable[[], None]) -> None:
    """Fails where it takes more than there may be; on Linux, which counts it."""
    if sys.platform != "linux":
        work()
        return
    status = Path("/proc/self/status")

    def kibibytes(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
        assert found
        return int(found[1])

    # The peak from now on.
    Path("/proc/self/clear_refs").write_text("5")
    before = kibibytes("VmRSS")
    work()
    assert (kibibytes("VmHWM") - before) * 1024 < MEMORY_BYTES


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_is_damaged_in_these_tests_is_heard_while_it_is_whole(name: str) -> None:
    assert codec.decode(FILES[name], seconds_max=SECONDS).duration_seconds == pytest.approx(0.5, abs=0.1)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DAMAGED)
def test_a_damaged_file_is_heard_or_refused(what: tuple[str, list[Change]]) -> None:
    within_memory(lambda: assert_heard_or_refused(damaged(*what)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BEGINNINGS), st.binary())
def test_what_only_begins_as_sound_is_heard_or_refused(start: bytes, rest: bytes) -> None:
    within_memory(lambda: assert_heard_or_refused(start + rest))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DAMAGED)
def test_thousands_of_damaged_files_are_heard_or_refused(what: tuple[str, list[Change]]) -> None:
    within_memory(lambda: assert_heard_or_refused(damaged(*what)))
