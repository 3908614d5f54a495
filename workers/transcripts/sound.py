"""Sound for a transcriber's browser: how long it lasts, the outline of its loudness, in a format that browsers play."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from workers.audio import decoding
from workers.audio.decoding import Bounds
from workers.audio.pcm import finite
from workers.errors import BadInput

# A day in court. Longer ones are better cut: one person has an hour.
LONGEST_SECONDS = 4 * 3600
# Nobody says anything in less, and it would earn nothing.
_SHORTEST_SECONDS = 0.01
# As many lines as a page draws side by side.
PEAKS = 400
_PIECE_SECONDS = 10
# The outline is first taken of so short parts, whose number is not known before the end.
_FINE_SECONDS = 0.02

# What every browser of the last years plays, by how its files begin (offset, bytes).
_SIGNATURES = (
    ("audio/wav", 0, b"RIFF"),
    ("audio/flac", 0, b"fLaC"),
    ("audio/ogg", 0, b"OggS"),
    ("audio/mpeg", 0, b"ID3"),
    ("audio/mp4", 4, b"ftypM4A"),
)
# Of WAV files, browsers play these; not telephones' (A-law, mu-law, GSM).
_PLAYED_WAV = ("PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT")


@dataclass(frozen=True)
class Looked:
    """What was found: ``peaks`` is the height of each of ``PEAKS`` equal parts, 0..100 of the loudest.

    ``content`` is what is to be served, as ``media_type``; the file as it was where browsers play it.
    """

    content: bytes
    media_type: str
    duration_seconds: float
    peaks: list[int]


def look(file: Path) -> Looked:
    """The sound in ``file``, of any usual format; one that browsers do not play becomes FLAC.

    Raises:
        BadInput: it is no sound, holds none, or lasts more than ``LONGEST_SECONDS``.
    """
    media_type = _played(file)
    copy = io.BytesIO()
    writer: soundfile.SoundFile | None = None
    fine: list[float] = []
    seconds = 0.0
    for piece in decoding.pieces(file, Bounds(LONGEST_SECONDS), seconds=_PIECE_SECONDS):
        samples = finite(piece.samples)
        seconds += piece.duration_seconds
        fine += _heights(samples, max(1, round(_FINE_SECONDS * piece.sample_rate_hz)))
        if media_type is None:
            if writer is None:
                writer = soundfile.SoundFile(copy, "w", piece.sample_rate_hz, 1, format="FLAC", subtype="PCM_16")
            writer.write(np.clip(samples, -1, 1))
    if writer is not None:
        writer.close()
    if seconds < _SHORTEST_SECONDS:
        raise BadInput("there is no sound in the file", code="no_sound")
    content = copy.getvalue() if media_type is None else file.read_bytes()
    return Looked(content, media_type or "audio/flac", seconds, _outline(fine))


def _played(file: Path) -> str | None:
    """The media type of a file that browsers play; None of any other."""
    with file.open("rb") as opened:
        head = opened.read(12)
    for media_type, at, signature in _SIGNATURES:
        if head[at:].startswith(signature):
            return media_type if media_type != "audio/wav" or _is_plain_wav(file) else None
    # MPEG audio of layer 3, without a tag before it.
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return "audio/mpeg" if is_mp3 else None


def _is_plain_wav(file: Path) -> bool:
    try:
        return soundfile.info(file).subtype in _PLAYED_WAV
    except soundfile.LibsndfileError:
        return False


def _heights(samples: np.ndarray, step: int) -> list[float]:
    """The highest absolute value of each ``step`` samples (n,), the last perhaps of fewer."""
    starts = np.arange(0, len(samples), step)
    return np.maximum.reduceat(np.abs(samples), starts).tolist() if len(starts) else []


def _outline(fine: list[float]) -> list[int]:
    heights = np.asarray(fine, np.float32)
    parts = [part.max() for part in np.array_split(heights, min(PEAKS, len(heights)))]
    loudest = max([*parts, 1e-4])
    return [round(float(part / loudest) * 100) for part in parts]
