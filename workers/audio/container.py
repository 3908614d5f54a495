"""Sound into MP3, Ogg Opus, ADTS AAC and streamed FLAC, by PyAV (FFmpeg's libraries).

Importing this loads PyAV, 18 MB and 75 ms that a process which sends only WAV need not pay: import it where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO, Protocol, cast

import av
import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import spread, to_float


class Sink(Protocol):
    """Where the bytes go; one that cannot seek gets a stream."""

    def write(self, data: bytes) -> int:
        """Takes all of it."""
        ...


@dataclass(frozen=True)
class _Recipe:
    codec: str
    muxer: str
    sample_format: str
    bits_per_second: int | None
    # An encoder clamps what is more than this many bits a sample, and says so on stderr.
    bits_per_sample_max: float = 16.0
    codec_options: dict[str, str] = field(default_factory=dict)
    stream_options: dict[str, str] = field(default_factory=dict)
    stream_codec_options: dict[str, str] = field(default_factory=dict)
    # Samples that decoders give before the sound, where the format cannot say so.
    untold_priming: int = 0


# Measured on a minute of hibari's speech at 24 kHz, one core: CPU milliseconds and the noise against a masking curve.
_RECIPES = {
    # LAME's level 5 takes 320 ms where level 2 takes three times as much, with no more noise. Variable bit rate of
    # quality 3 (354 = 3 * FF_QP2LAMBDA) has some 60 kbit/s at 24 kHz; at a constant one LAME makes everything 0.45 dB
    # softer. Without the bit reservoir the first frame of a stream is out after 50 ms of sound, not 100. A stream has
    # no Xing frame: it would have to hold the length.
    "mp3": _Recipe(
        "libmp3lame",
        "mp3",
        "s16p",
        None,
        codec_options={"compression_level": "5", "flags": "+qscale", "global_quality": "354"},
        stream_options={"write_xing": "0", "id3v2_version": "0"},
        stream_codec_options={"reservoir": "0"},
    ),
    # Complexity 5 takes 130 ms, 7 to 10 take 480; at 40 kbit/s the noise is the same. Pages of 40 ms cost a stream
    # 6 kbit/s and are out after 80 ms of sound; FFmpeg's own of one second would be out after one.
    "opus": _Recipe(
        "libopus",
        "ogg",
        "s16",
        40_000,
        codec_options={"compression_level": "5"},
        stream_options={"page_duration": "40000"},
    ),
    # The fast coder takes 155 ms, twoloop 510 for the same noise. AAC has at most 6144 bits for 1024 samples.
    "aac": _Recipe(
        "aac",
        "adts",
        "fltp",
        64_000,
        bits_per_sample_max=6.0,
        codec_options={"aac_coder": "fast"},
        untold_priming=1024,
    ),
    # No padding: a stream's header is not edited afterwards.
    "flac": _Recipe("flac", "flac", "s16", None, stream_options={"metadata_header_padding": "0"}),
}


# -60 dBFS.
_INAUDIBLE = 33


class Container:
    """A file being written: ``write`` samples, then ``close``. The same samples make the same bytes."""

    def __init__(self, format_name: str, sample_rate_hz: int, channels: int, sink: Sink, *, streamed: bool) -> None:
        recipe = _RECIPES[format_name]
        # Bit-exact: no random serial number in Ogg, no library version in a comment.
        options = {"fflags": "+bitexact"} | ({"flush_packets": "1"} | recipe.stream_options if streamed else {})
        self._file = av.open(cast("BinaryIO", sink), "w", format=recipe.muxer, options=options)
        self._layout = "stereo" if channels == 2 else "mono"
        self._channels = channels
        self._sample_format = recipe.sample_format
        self._rate = sample_rate_hz
        stream = self._file.add_stream(
            recipe.codec,
            rate=sample_rate_hz,
            layout=self._layout,
            format=recipe.sample_format,
            options=recipe.codec_options | (recipe.stream_codec_options if streamed else {}),
        )
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        if recipe.bits_per_second is not None:
            # The second channel is the first again, and joint stereo makes it cheap.
            wanted = recipe.bits_per_second * (3 if channels == 2 else 2) // 2
            self._stream.bit_rate = min(wanted, int(recipe.bits_per_sample_max * sample_rate_hz))
        self._written = 0
        self._priming = recipe.untold_priming

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Adds mono samples (n,); the encoder keeps what does not fill its frame."""
        if not len(pcm):
            return
        if self._written < self._priming:
            # Not np.abs alone: of 16 bits, the least has no positive.
            first = pcm[: self._priming - self._written].astype(np.int32)
            if np.abs(first).max() > _INAUDIBLE:
                self._priming = 0
        self._mux(self._stream.encode(self._frame(pcm)))
        self._written += len(pcm)

    def close(self) -> None:
        """Writes what is left, and the end of the file."""
        self._mux(self._stream.encode(None))
        self._file.close()

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        if self._priming and packets:
            # The first frame holds only the priming and half of what overlaps with the first samples. Where these are
            # silent (speech begins so) it can be left out, and the sound begins where it should.
            packets, self._priming = packets[1:], 0
        self._file.mux(packets)

    def _frame(self, pcm: NDArray[np.int16]) -> av.AudioFrame:
        samples: NDArray[Any] = spread(pcm, self._channels)
        if self._sample_format == "fltp":
            samples = to_float(samples)
        # Planar formats ("p") take (channels, n), the others (1, n * channels).
        planes = np.ascontiguousarray(samples.T) if self._sample_format.endswith("p") else samples.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(planes, format=self._sample_format, layout=self._layout)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._written
        return frame
