"""Numbers of rules whose change makes stored speech stale, and the formats speech is kept and sent in."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "0.1.0"

# Raise when text is split or prepared differently: the number is part of every clip's key.
TEXT_RULES = 2


# Above 48 kHz nobody hears more, and Opus, MP3 and most players end there.
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 8000, 48000
_MPEG_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class AudioFormat:
    """A form in which speech is sent. Its name is also the ending of its files.

    ``rates_hz`` are those it can have; empty: any from 8000 to 48000.
    """

    name: str
    media_type: str
    rates_hz: tuple[int, ...] = ()

    def takes(self, sample_rate_hz: int) -> bool:
        """Whether a file of this format can have that rate."""
        if self.rates_hz:
            return sample_rate_hz in self.rates_hz
        return _LOWEST_RATE_HZ <= sample_rate_hz <= _HIGHEST_RATE_HZ

    def rate_for(self, engine_rate_hz: int) -> int:
        """The rate when none is asked for: the engine's own, or else the next higher (nothing is lost), or the top."""
        if self.takes(engine_rate_hz):
            return engine_rate_hz
        rates = self.rates_hz or (_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ)
        return min((rate for rate in rates if rate > engine_rate_hz), default=rates[-1])


AUDIO_FORMATS = {
    "wav": AudioFormat("wav", "audio/wav"),
    "flac": AudioFormat("flac", "audio/flac"),
    "mp3": AudioFormat("mp3", "audio/mpeg", _MPEG_RATES_HZ),
    # Opus in Ogg. The registered type of such files (RFC 7845, section 9), which every browser plays; audio/opus is the
    # type of RTP packets (RFC 7587). Without "; codecs=opus", which clients that compare the whole header trip over.
    "opus": AudioFormat("opus", "audio/ogg", (8000, 12000, 16000, 24000, 48000)),
    # AAC-LC in ADTS.
    "aac": AudioFormat("aac", "audio/aac", _MPEG_RATES_HZ),
    # Bare signed 16-bit samples, little-endian; not registered, but what the OpenAI speech API calls it.
    "pcm": AudioFormat("pcm", "audio/pcm"),
}

# What an engine makes is kept once, as this (16 bits), at the engine's own rate: lossless, and ready to send without
# encoding.
CLIP_FORMAT = AUDIO_FORMATS["wav"]
