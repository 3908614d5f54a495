"""Files that soundfile cannot read (AAC, MP4, WebM, AMR …), by PyAV. Import it where it is used, as ``container``."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from workers.audio.clip import Clip, too_long
from workers.errors import BadInput

Samples = NDArray[np.float32]

# Only formats that are one file: a playlist (HLS, concat, DASH) in an upload would have FFmpeg open what it names.
_FORMATS = "aac,adts,ac3,aiff,amr,asf,au,caf,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpegts,ogg,w64,wav"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}


def read(content: bytes, seconds_max: float = math.inf) -> Clip | None:
    """The first sound in the file, several channels as their mean; None when there is none.

    Raises:
        BadInput: it lasts longer than ``seconds_max``; no more of it is decoded.
    """
    try:
        with _opened(content) as file:
            rate = _rate(file)
            if not rate:
                return None
            parts: list[Samples] = []
            left = seconds_max * rate
            for part in _parts(file):
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise too_long(seconds_max)
    except (av.FFmpegError, ValueError):
        # PyAV's resampler answers ValueError where the sound's rate or channels change on the way.
        return None
    return Clip(np.concatenate(parts) if parts else np.zeros(0, np.float32), rate)


def pieces(content: bytes, seconds: float) -> Iterator[Clip]:
    """What ``read`` gives, in pieces of about so many seconds, each decoded when it is asked for.

    Raises:
        BadInput: there is none, or the rest of it cannot be read.
    """
    try:
        with _opened(content) as file:
            rate = _rate(file)
            if not rate:
                raise BadInput("there is no sound in the file", code="not_audio")
            held: list[Samples] = []
            length = 0
            for part in _parts(file):
                held.append(part)
                length += len(part)
                if length >= seconds * rate:
                    yield Clip(np.concatenate(held), rate)
                    held, length = [], 0
            if held:
                yield Clip(np.concatenate(held), rate)
    except (av.FFmpegError, ValueError):
        raise BadInput("this is no audio file", code="not_audio") from None


def _opened(content: bytes) -> InputContainer:
    file = av.open(io.BytesIO(content), options=_OPTIONS)
    assert isinstance(file, InputContainer)
    return file


def _rate(file: InputContainer) -> int:
    """Of the first sound; 0 where there is none, or none that there is a decoder for."""
    streams = file.streams.audio
    return int(getattr(streams[0], "sample_rate", 0) or 0) if streams else 0


def _parts(file: InputContainer) -> Iterator[Samples]:
    """What each frame holds, (channels, n) to (n,)."""
    floats = av.AudioResampler(format="fltp")
    for frame in itertools.chain(file.decode(audio=0), [None]):
        for part in floats.resample(frame):
            yield np.asarray(part.to_ndarray(), np.float32).mean(axis=0)
