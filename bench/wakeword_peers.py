"""Detectors that listen to the same audio: ours, and those that others have packaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.wakeword.detector import Detector, open_scorer
from workers.wakeword.samples import Samples

_PIECE_BYTES = 2560
Scores = NDArray[np.float64]


class Listener(Protocol):
    """Scores sound that comes in pieces; ``begin`` forgets what was heard."""

    hop_seconds: float

    def begin(self) -> None:
        """Nothing has been heard."""

    def hear(self, samples: Samples) -> Scores:
        """The scores that these samples complete, as the detector compares them with its threshold."""


class Ours:
    """A detector of ours, as it runs everywhere."""

    hop_seconds = 0.08

    def __init__(self, path: Path) -> None:
        self._scorer = open_scorer(path)
        self.begin()

    def begin(self) -> None:
        """A new detector."""
        self._detector = Detector(self._scorer)

    def hear(self, samples: Samples) -> Scores:
        """Its smoothed scores."""
        return np.array([score.smoothed for score in self._detector.feed(samples)])


class OpenWakeWord:
    """openWakeWord's detector in pyopen-wakeword's own runtime, features and all."""

    hop_seconds = 0.08

    def __init__(self, model: Any) -> None:
        self._model = model
        self.begin()

    def begin(self) -> None:
        """New features and a new detector; two seconds of silence have been heard, as ours has."""
        import pyopen_wakeword

        self._features = pyopen_wakeword.OpenWakeWordFeatures.from_builtin()
        self._detector = pyopen_wakeword.OpenWakeWord.from_builtin(self._model)
        self.hear(np.zeros(48_000, np.float32))

    def hear(self, samples: Samples) -> Scores:
        """Its scores."""
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        scores = [
            score
            # It holds ten seconds; these are 80 ms each, as it is used.
            for start in range(0, len(pcm), _PIECE_BYTES)
            for embeddings in self._features.process_streaming(pcm[start : start + _PIECE_BYTES])
            for score in self._detector.process_streaming(embeddings)
        ]
        return np.array(scores, np.float64)


def packaged(word: str) -> dict[str, Listener]:
    """The packaged detectors of a word; none where nobody has one."""
    import pyopen_wakeword

    models = {model.name.lower().replace("_", " "): model for model in pyopen_wakeword.Model}
    return {"openWakeWord": OpenWakeWord(models[word])} if word in models else {}
