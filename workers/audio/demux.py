"""Files that soundfile cannot read (AAC, MP4, WebM, AMR …), by PyAV. Import it where it is used, as ``container``."""

from __future__ import annotations

import io

import av
import numpy as np

from workers.audio.clip import Clip

# Only formats that are one file: a playlist (HLS, concat, DASH) in an upload would have FFmpeg open what it names.
_FORMATS = "aac,adts,ac3,aiff,amr,asf,au,caf,flac,flv,matroska,webm,mov,mp4,m4a,3gp,mp3,mpegts,ogg,w64,wav"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}


def read(content: bytes) -> Clip | None:
    """The first sound in the file, several channels as their mean; None when there is none."""
    try:
        with av.open(io.BytesIO(content), options={"format_whitelist": _FORMATS, "protocol_whitelist": "none"}) as file:
            assert isinstance(file, av.container.InputContainer)
            if not file.streams.audio:
                return None
            rate = file.streams.audio[0].sample_rate
            floats = av.AudioResampler(format="fltp")
            parts = [
                # (channels, n) to (n,)
                np.asarray(part.to_ndarray(), np.float32).mean(axis=0)
                for frame in [*file.decode(audio=0), None]
                for part in floats.resample(frame)
            ]
    except (av.FFmpegError, ValueError):
        # PyAV's resampler answers ValueError where the sound's rate or channels change on the way.
        return None
    return Clip(np.concatenate(parts) if parts else np.zeros(0, np.float32), rate)
