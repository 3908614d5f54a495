"""Samples out of a body that arrives in pieces: bare 16-bit PCM, or the same in a WAV file."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

# A WAV header is 44 bytes; one with a comment is longer, but not this long.
_LONGEST_HEADER = 65536
# What other formats begin with: MP3, Ogg, FLAC, Matroska, and text.
_FOREIGN = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"{", b"<")
_PCM, _EXTENSIBLE = 1, 0xFFFE
# Written by servers that do not know the length when they begin.
_UNKNOWN_LENGTHS = (0, 0x7FFFFFFF, 0x7FFFFFFF - 44, 0xFFFFFFFF, 0xFFFFFFFF - 44, 0x80000000)


class NotSound(Exception):
    """The body is not what was asked for."""


def samples(body: Iterable[bytes], sample_rate_hz: int) -> Iterator[NDArray[np.int16]]:
    """The samples of each piece, mono at ``sample_rate_hz``.

    Raises:
        NotSound: another format, rate or number of channels, or less than it said it would be.
    """
    rest, left = b"", None
    pieces = iter(body)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 4 and not head.startswith(b"RIFF"):
            if head.startswith(_FOREIGN):
                raise NotSound(f"it begins with {head[:4]!r}, which is not PCM")
            break
        if head.startswith(b"RIFF") and (data := _data(head, sample_rate_hz)) is not None:
            start, left = data
            head = head[start:]
            break
        if len(head) > _LONGEST_HEADER:
            raise NotSound("a WAV file without data")
    else:
        if head:
            raise NotSound(f"{len(head)} bytes, which is no sound")
        return
    for piece in _and_then(head, pieces):
        if left is not None:
            # What follows the data of a WAV file are comments.
            piece = piece[:left]
            left -= len(piece)
        whole = rest + piece
        even = len(whole) // 2 * 2
        rest = whole[even:]
        if even:
            yield np.frombuffer(whole[:even], "<i2").astype(np.int16)
    if rest:
        raise NotSound("half a sample at the end")
    if left:
        raise NotSound(f"a WAV file that lacks {left} bytes of its data")


def _and_then(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _data(head: bytes, sample_rate_hz: int) -> tuple[int, int | None] | None:
    """Where a WAV file's data begin, and their length if it is told; None while the header is incomplete."""
    place = 12
    while len(head) >= place + 8:
        name, size = struct.unpack_from("<4sI", head, place)
        if name == b"data":
            return place + 8, None if size in _UNKNOWN_LENGTHS else size
        if name == b"fmt " and len(head) >= place + 24:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, place + 8)
            if kind not in (_PCM, _EXTENSIBLE) or (channels, rate, bits) != (1, sample_rate_hz, 16):
                said = f"{channels} channels of {bits} bits at {rate} Hz"
                raise NotSound(f"{said}, where REMOTE_TTS_SAMPLE_RATE says one of 16 bits at {sample_rate_hz} Hz")
        place += 8 + size + size % 2
    return None
