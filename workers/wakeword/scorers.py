"""What a detector asks how much a window sounds like the word."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from workers.errors import BadInput
from workers.wakeword import fewshot
from workers.wakeword.features import Frontend, frontend
from workers.wakeword.spectrum import CHUNK, RATE_HZ, Floats

# Windows are scored so many at once: more gain nothing, and take memory.
_AT_ONCE = 64


class Scorer(Protocol):
    """A model that is ready; has no state, so many detectors and threads may share one."""

    @property
    def frontend(self) -> Frontend:
        """What its windows are made of."""

    @property
    def window_frames(self) -> int:
        """How many frames a window has."""

    def scores(self, windows: Floats) -> Floats:
        """Probabilities (n,) of windows (n, window_frames, width)."""


def open_scorer(model: bytes | Path) -> Scorer:
    """The scorer of a model's file.

    ONNX over embeddings (batch, frames, 96), ours or any openWakeWord head; ONNX over mel frames (batch, 200, 40); ONNX
    over samples (1, n), which works on its whole window each time and so costs more; or few-shot templates. Which one
    it is, the file's shape says.

    Raises:
        BadInput: it is none of these.
    """
    data = model if isinstance(model, bytes) else model.read_bytes()
    if data[:2] == b"PK":
        return fewshot.opened(data)
    session = _opened(data)
    shape = session.get_inputs()[0].shape
    if len(shape) == 3:
        for name in ("embedding", "mel"):
            front = frontend(name)
            if shape[2] == front.width and isinstance(shape[1], int):
                return _Net(session, front, shape[1], shape[0])
    if len(shape) == 2 and isinstance(shape[1], int):
        return _Whole(session, shape[1])
    raise BadInput(f"a net over {shape} is no wake word's: (batch, frames, 96) or (1, samples) is", code="bad_model")


def _opened(data: bytes) -> Any:
    # Not at the top: the web process imports this file at its start and needs no engine before the first detector.
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

    from workers.tts.onnx_session import open_session

    try:
        return open_session(data, threads=1)
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as fault:
        raise BadInput("the model is no ONNX file that can be run", code="bad_model") from fault


class _Net:
    """A net over frames."""

    def __init__(self, session: Any, front: Frontend, window_frames: int, batch: int | str | None) -> None:
        self.frontend = front
        self.window_frames = window_frames
        self._session = session
        self._input = session.get_inputs()[0].name
        self._at_once = batch if isinstance(batch, int) else _AT_ONCE

    def scores(self, windows: Floats) -> Floats:
        """Probabilities."""
        parts = [
            self._session.run(None, {self._input: windows[at : at + self._at_once]})[0].reshape(-1)
            for at in range(0, len(windows), self._at_once)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)


class _Samples(Frontend):
    """The sound itself, in chunks."""

    name = "samples"
    hop_seconds = CHUNK / RATE_HZ
    width = CHUNK
    chunk_frames = 1
    history = 0
    # What is not shared between windows is dear.
    score_chunks = 2

    def __init__(self, window_frames: int) -> None:
        self.window_frames = window_frames

    def step(self, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
        return samples.reshape(len(samples), -1, CHUNK) / np.float32(32768), state


class _Whole:
    """A net over samples."""

    def __init__(self, session: Any, samples: int) -> None:
        self.window_frames = -(-samples // CHUNK)
        self.frontend: Frontend = _Samples(self.window_frames)
        self._session = session
        self._input = session.get_inputs()[0].name
        self._samples = samples

    def scores(self, windows: Floats) -> Floats:
        """Probabilities."""
        sound = windows.reshape(len(windows), -1)[:, -self._samples :]
        runs = [self._session.run(None, {self._input: sound[at : at + 1]})[0].reshape(-1) for at in range(len(sound))]
        return np.concatenate(runs) if runs else np.zeros(0, np.float32)
