"""hibari-tts: a small English model, about a hundred times faster than real time on one core.

Source: the package hibari-tts (Apache-2.0, weights in the wheel). It has its own normaliser and
pronunciation rules.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from hibari import tts as hibari_tts
from hibari.voices import voice_path

from workers.audio.clip import Clip, join
from workers.device import Device
from workers.text.classes import HIBARI_READS
from workers.tts.onnx_session import open_session
from workers.tts.provider import Capabilities, Spoken, Utterance

_VOICE = "heart"


# The engine's own letters for sounds that IPA writes with two, and the other forms of the same letter.
_LETTERS = {
    "t͡ʃ": "ʧ",
    "d͡ʒ": "ʤ",
    "tʃ": "ʧ",
    "dʒ": "ʤ",
    "ɝ": "ɜɹ",
    "ɚ": "əɹ",
    "eɪ": "A",
    "aɪ": "I",
    "oʊ": "O",
    "əʊ": "O",
    "aʊ": "W",
    "ɔɪ": "Y",
    "r": "ɹ",
    "g": "ɡ",
    "ɫ": "l",
}
_LETTER = re.compile("|".join(map(re.escape, _LETTERS)))
# IPA marks the stress of a syllable at its beginning, the engine before its vowel.
_STRESS = re.compile(r"([ˈˌ])([^ˈˌ\sAIOQWYaeiouyæøœɐɑɒɔəɚɛɜɝɨɪʊʌᵻ]+)(?=[AIOQWYaeiouyæøœɐɑɒɔəɚɛɜɝɨɪʊʌᵻ])")
_MARKED = re.compile(r"\[([^\[\]]*)\]\(/([^()/]*)/\)")


class _Session(hibari_tts.Hibari):
    """The package's synthesizer on an ONNX session with our options (its own constructor spins and grows arenas)."""

    def __init__(self, voice: str, threads: int) -> None:
        self.voice = voice
        self.model_path = voice_path(voice)
        self.sess = open_session(self.model_path, threads)
        self.vocab = json.loads((Path(hibari_tts.ASSETS) / "vocab.json").read_text(encoding="utf-8"))
        self._g2p = None


class HibariProvider:
    """The packaged voice ``heart``; the same seed gives the same samples."""

    name = "hibari"
    revision = importlib.metadata.version("hibari-tts")
    sample_rate_hz: int = hibari_tts.SAMPLE_RATE
    capabilities = Capabilities(
        batch=False,
        seed=True,
        streams_in_sentence=False,
        word_times=False,
        languages=("en",),
        licence="Apache-2.0",
        phonemes=True,
        speeds=(0.7, 1.5),
        reads=HIBARI_READS,
    )

    def __init__(self, threads: int) -> None:
        self._session = _Session(_VOICE, threads)
        # The first run allocates; it must not be a client's.
        self.synthesize_batch([Utterance("Ready.", _VOICE)])

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """One model call each, because a batch gains nothing on a CPU."""
        return [
            Spoken(join([part.clip for part in self.stream(utterance)], self.sample_rate_hz))
            for utterance in utterances
        ]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """Sentence by sentence: the engine's activations are quantised over the whole of each."""
        for samples in self._session.stream(self._own_letters(utterance.text), utterance.speed, utterance.seed):
            yield Spoken(Clip(np.asarray(samples, np.float32), self.sample_rate_hz))

    def _own_letters(self, text: str) -> str:
        """The text with its ``[word](/ipa/)`` in the engine's alphabet; what that has no letter for is left out."""

        def own(marked: re.Match[str]) -> str:
            ipa = _STRESS.sub(r"\2\1", _LETTER.sub(lambda sound: _LETTERS[sound.group()], marked.group(2)))
            return f"[{marked.group(1)}](/{''.join(sign for sign in ipa if sign in self._session.vocab)}/)"

        return _MARKED.sub(own, text)


def load(device: Device) -> HibariProvider:
    """The engine with as many threads as the device grants."""
    return HibariProvider(device.threads)
