"""The sound of a source of negatives: decoded some files ahead, and cut into chunks."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import to_float
from workers.wakeword.prompts import SoundSource
from workers.wakeword.samples import Sample
from workers.wakeword.spectrum import RATE_HZ

Pcm = NDArray[np.int16]

# Long enough that little is lost at the ends, where a window does not fit; short enough to draw from.
CHUNK_SECONDS = 10.0
# G.722 has two samples a byte.
_G722_BYTES_PER_SECOND = RATE_HZ // 2
# Only formats that are one file: FFmpeg opens what a playlist names.
_ONE_FILE = {
    "format_whitelist": "aac,aiff,flac,matroska,webm,mov,mp4,m4a,mp3,ogg,wav",
    "protocol_whitelist": "none",
}


def units_of(source: SoundSource) -> list[list[str]]:
    """What is decoded in one go: a file, or as many short prompts as make a chunk."""
    units: list[list[str]] = []
    seconds = CHUNK_SECONDS
    for name, content in source.files.items():
        is_prompt = name.endswith(".g722")
        if seconds >= CHUNK_SECONDS or not is_prompt:
            units.append([])
            seconds = 0.0
        units[-1].append(name)
        seconds += size_bytes(content) / _G722_BYTES_PER_SECOND if is_prompt else CHUNK_SECONDS
    return units


def size_bytes(content: Path | bytes) -> int:
    """Of a file of a source."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def ahead(
    pool: ThreadPoolExecutor, count: int, source: SoundSource, units: Sequence[Sequence[str]]
) -> Iterator[tuple[Pcm, int]]:
    """The sound of each unit, in order, and how many of its files could not be read.

    The threads are ``count`` units ahead and no more, because an hour takes 115 MB.
    """
    waiting = iter(units)
    running = [pool.submit(_read, source, unit) for unit in islice(waiting, count)]
    while running:
        yield running.pop(0).result()
        running += [pool.submit(_read, source, unit) for unit in islice(waiting, 1)]


def _read(source: SoundSource, names: Iterable[str]) -> tuple[Pcm, int]:
    parts, faults = [np.zeros(0, np.int16)], 0
    for name in names:
        try:
            content = source.read(name)
            parts.append(g722(content) if name.endswith(".g722") else _any(content))
        except (av.FFmpegError, OSError, ValueError):
            faults += 1
    return np.concatenate(parts), faults


def g722(content: bytes) -> Pcm:
    """Bare G.722 at 64 kbit/s, decoded: two samples a byte."""
    # In this process: one ffmpeg a prompt takes nine minutes for what takes some seconds here.
    codec = av.CodecContext.create("g722", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = RATE_HZ, "mono"
    frames = [*codec.decode(av.Packet(content)), *codec.decode(None)] if content else []
    return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0] for frame in frames)])


def _any(content: bytes) -> Pcm:
    """A file of any usual format at our rate, frame by frame: hours of it at 48 kHz would not fit as they are."""
    with av.open(io.BytesIO(content), options=_ONE_FILE) as file:
        assert isinstance(file, av.container.InputContainer)
        if not file.streams.audio:
            raise ValueError("no sound in it")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        parts = [
            np.asarray(part.to_ndarray()[0], np.int16) for frame in _frames(file) for part in resampler.resample(frame)
        ]
    return np.concatenate([np.zeros(0, np.int16), *parts])


def _frames(file: av.container.InputContainer) -> Iterator[av.AudioFrame | None]:
    """Its frames, and the end."""
    yield from file.decode(audio=0)
    yield None


def chunks_of(source: SoundSource, name: str, pcm: Pcm) -> Iterator[Sample]:
    """Pieces of about ten seconds, all of a length; none where there is no sound."""
    if len(pcm):
        count = max(1, round(len(pcm) / (CHUNK_SECONDS * RATE_HZ)))
        for piece in np.array_split(pcm, count):
            yield Sample(to_float(piece), 0, "negative", source.family, f"{source.name}/{name}", "")
