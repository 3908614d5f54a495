"""hibari-tts: a small English model, about a hundred times faster than real time on one core.

Source: the package hibari-tts (Apache-2.0, weights in the wheel). It has its own normaliser and
pronunciation rules.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from hibari import tts as hibari_tts
from hibari.voices import voice_path

from workers.audio.clip import Clip, join
from workers.device import Device
from workers.tts.provider import Capabilities, Spoken, Utterance

_VOICE = "heart"


class _Session(hibari_tts.Hibari):
    """The package's synthesizer on an ONNX session with our options (its own constructor spins and grows arenas)."""

    def __init__(self, voice: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A spinning thread steals the core that another worker needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        self.voice = voice
        self.model_path = voice_path(voice)
        self.sess = onnxruntime.InferenceSession(self.model_path, options, providers=["CPUExecutionProvider"])
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
    )

    def __init__(self, threads: int) -> None:
        self._session = _Session(_VOICE, threads)
        # The first run allocates; it must not be a client's.
        self.synthesize_batch([Utterance("Ready.", _VOICE)])

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """One model call each, because a batch gains nothing on a CPU."""
        return [Spoken(join(list(self.stream(utterance)), self.sample_rate_hz)) for utterance in utterances]

    def stream(self, utterance: Utterance) -> Iterator[Clip]:
        """Sentence by sentence: the engine's activations are quantised over the whole of each."""
        for samples in self._session.stream(utterance.text, utterance.speed, utterance.seed):
            yield Clip(np.asarray(samples, np.float32), self.sample_rate_hz)


def load(device: Device) -> HibariProvider:
    """The engine with as many threads as the device grants."""
    return HibariProvider(device.threads)
