"""Numbers of rules whose change makes stored speech stale, and the formats speech is kept and sent in."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "0.1.0"

# Raise when text is split or prepared differently: the number is part of every clip's key.
TEXT_RULES = 1


@dataclass(frozen=True)
class AudioFormat:
    """A form in which speech is sent: its file ending, media type and soundfile's names for it."""

    name: str
    media_type: str
    container: str
    subtype: str


AUDIO_FORMATS = {
    "wav": AudioFormat("wav", "audio/wav", "WAV", "PCM_16"),
    "flac": AudioFormat("flac", "audio/flac", "FLAC", "PCM_16"),
}

# What an engine makes is kept once, as this, at the engine's own rate: lossless, and ready to send without encoding.
CLIP_FORMAT = AUDIO_FORMATS["wav"]
