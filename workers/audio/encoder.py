"""Sound to bytes while it is being made."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from config.versions import AudioFormat
from workers.audio.pcm import SOXR_QUALITY, check_channels, spread, target_rate, to_float, to_pcm, wav_header


class StreamEncoder:
    """An encoder to be fed piece by piece; all bytes together are one stream of that format.

    However the samples are cut, the bytes together are the same. The first come out within 105 ms of sound at 22.05 kHz
    and above (tests/workers/test_encoders.py has each format's; frames count in samples: AAC at 8 kHz needs 260 ms),
    40 ms later where the rate is changed. A stream cannot know its length, so it differs from a whole file
    (``codec.encode``): WAV has 0xFFFFFFFF for its sizes, FLAC 0 for its samples (both mean unknown), and MP3 has no
    Xing frame, so that players play the encoder's delay too (60 ms at 24 kHz). Opus is exact here as well. Without
    samples there are no bytes but the header of WAV or FLAC.

    Raises:
        BadInput: the format cannot have that rate or so many channels.
    """

    def __init__(
        self, form: AudioFormat, source_rate_hz: int, *, sample_rate_hz: int | None = None, channels: int = 1
    ) -> None:
        self.sample_rate_hz = target_rate(form, source_rate_hz, sample_rate_hz)
        self._writer: _Bare | _Framed
        if form.name in ("wav", "pcm"):
            self._writer = _Bare(self.sample_rate_hz, check_channels(channels), header=form.name == "wav")
        else:
            self._writer = _Framed(form.name, self.sample_rate_hz, check_channels(channels))
        self._resampler: soxr.ResampleStream | None = None
        if self.sample_rate_hz != source_rate_hz:
            self._resampler = soxr.ResampleStream(
                source_rate_hz, self.sample_rate_hz, 1, dtype="float32", quality=SOXR_QUALITY
            )
        self._finished = False

    def feed(self, samples: NDArray[np.float32]) -> bytes:
        """What is ready after these samples (n,), which may be nothing; the first bytes hold the format's header.

        Raises:
            ValueError: the stream is finished.
        """
        if self._finished:
            raise ValueError("this stream is finished")
        pcm = to_pcm(samples)
        if self._resampler is not None and len(pcm):
            pcm = to_pcm(self._resampler.resample_chunk(to_float(pcm)))
        return self._writer.write(pcm)

    def finish(self) -> bytes:
        """The rest. A second call gives nothing."""
        if self._finished:
            return b""
        self._finished = True
        rest = b""
        if self._resampler is not None:
            rest = self._writer.write(to_pcm(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)))
        return rest + self._writer.close()


class _Bare:
    """PCM, with a WAV header before it or not."""

    def __init__(self, sample_rate_hz: int, channels: int, *, header: bool) -> None:
        self._channels = channels
        self._header = wav_header(sample_rate_hz, channels, None) if header else b""

    def write(self, pcm: NDArray[np.int16]) -> bytes:
        header, self._header = self._header, b""
        return header + spread(pcm, self._channels).tobytes()

    def close(self) -> bytes:
        return self._header


class _Framed:
    """Formats of frames, in their containers."""

    def __init__(self, format_name: str, sample_rate_hz: int, channels: int) -> None:
        from workers.audio.container import Container

        self._sink = _Sink()
        self._container = Container(format_name, sample_rate_hz, channels, self._sink, streamed=True)

    def write(self, pcm: NDArray[np.int16]) -> bytes:
        self._container.write(pcm)
        return self._sink.take()

    def close(self) -> bytes:
        self._container.close()
        return self._sink.take()


class _Sink:
    """A file that can only be written, and is emptied at each look. Without ``seek``, FFmpeg makes a stream."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, data: bytes) -> int:
        self._content += data
        return len(data)

    def take(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content
