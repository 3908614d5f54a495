"""What nets look at instead of sound: the speech embedding (``embedding``) or a log-mel spectrum of our own (``mel``).

Both take sound in chunks of 80 ms, and a clip gives the same frames as a stream of its pieces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

from workers.wakeword import embedding_graph
from workers.wakeword.spectrum import CHUNK, CHUNK_FRAMES, FOR_EMBEDDING, FOR_SCRATCH, RATE_HZ, Floats, Spectrum, pcm16

Name = Literal["embedding", "mel"]

# How much is worked on at once: 4 s of one stream or as much of several clips together. More is slower, since it no
# longer fits into the processor's cache, and a long file takes no more memory than a short one.
_CHUNKS_AT_ONCE = 50
# What nets look at: two seconds.
_WINDOW_CHUNKS = RATE_HZ * 2 // CHUNK


class Frontend(ABC):
    """From sound to frames. Has no state of its own: streams hold theirs, and several threads may use one.

    ``window_frames`` frames of ``width`` numbers are what a net looks at; each frame is ``hop_seconds`` after the last.
    ``chunk_frames`` come of a chunk, ``history`` samples before it are seen too, and the first ``warm_up`` frames of a
    stream look back to before its start and are not given out. ``state_size``: numbers a stream keeps between chunks.
    ``score_chunks``: after how many chunks a detector scores; nets from scratch look every 160 ms, since they work on
    their whole window each time.
    """

    name: str
    hop_seconds: float
    width: int
    window_frames: int
    chunk_frames: int
    history: int
    score_chunks: int = 1
    warm_up: int = 0
    state_size: int = 0

    @abstractmethod
    def step(self, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Frames (streams, chunk_frames * n, width) and the new state, of samples (streams, history + 1280 n)."""

    def frames(self, samples: Floats) -> Floats:
        """The frames of a clip, shape (n, width); what is left over beyond whole chunks is not looked at.

        Two seconds give one window: 16 embeddings or 200 mel frames.
        """
        return self.stream().feed(samples)

    def batch(self, clips: Sequence[Floats]) -> list[Floats]:
        """``frames`` of each; clips of one length are worked on together."""
        streams = [self.stream() for _ in clips]
        return feed_together(list(zip(streams, clips, strict=True)))

    def stream(self) -> Stream:
        """A new stream, with nothing before it."""
        return Stream(self)

    def after_silence(self, frames: int) -> tuple[Stream, Floats]:
        """A stream to which silence has been fed, and its last frames, shape (frames, width)."""
        stream = self.stream()
        chunks = -(-(frames + self.warm_up) // self.chunk_frames)
        return stream, stream.feed(np.zeros(chunks * CHUNK, np.float32))[-frames:]


class Stream:
    """The frames of sound that comes in pieces of any length."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend = frontend
        # As 16-bit sound; what the next chunk sees of the past, and what has come since.
        self._held = np.zeros(frontend.history, np.float32)
        self._state = np.zeros(frontend.state_size, np.float32)
        self._to_drop = frontend.warm_up

    def feed(self, samples: Floats) -> Floats:
        """The frames that these samples complete, shape (k, width)."""
        return feed_together([(self, samples)])[0]

    def _take(self, samples: Floats) -> None:
        self._held = np.concatenate((self._held, pcm16(samples)))

    @property
    def _ready(self) -> int:
        """How many whole chunks there are."""
        return (len(self._held) - self.frontend.history) // CHUNK

    def _next(self, chunks: int) -> Floats:
        return self._held[: self.frontend.history + chunks * CHUNK]

    def _advance(self, chunks: int, frames: Floats, state: Floats) -> Floats:
        self._held = self._held[chunks * CHUNK :]
        self._state = state
        dropped = min(self._to_drop, len(frames))
        self._to_drop -= dropped
        return frames[dropped:]


def feed_together(fed: Sequence[tuple[Stream, Floats]]) -> list[Floats]:
    """What each stream would give if fed alone, with one run of the net for all of one frontend.

    Each stream may occur once.
    """
    parts: list[list[Floats]] = [[np.zeros((0, stream.frontend.width), np.float32)] for stream, _ in fed]
    for stream, samples in fed:
        stream._take(samples)
    while True:
        # Those of the same frontend with equally many chunks go together; a long one takes turns.
        groups: dict[tuple[int, int], list[int]] = {}
        for number, (stream, _) in enumerate(fed):
            if chunks := min(stream._ready, _CHUNKS_AT_ONCE):
                groups.setdefault((id(stream.frontend), chunks), []).append(number)
        if not groups:
            return [np.concatenate(part) for part in parts]
        for (_, chunks), numbers in groups.items():
            at_once = max(1, _CHUNKS_AT_ONCE // chunks)
            for start in range(0, len(numbers), at_once):
                _step(fed, numbers[start : start + at_once], chunks, parts)


def _step(
    fed: Sequence[tuple[Stream, Floats]], numbers: Sequence[int], chunks: int, parts: Sequence[list[Floats]]
) -> None:
    streams = [fed[number][0] for number in numbers]
    frames, states = streams[0].frontend.step(
        np.stack([stream._next(chunks) for stream in streams]), np.stack([stream._state for stream in streams])
    )
    for number, stream, own_frames, state in zip(numbers, streams, frames, states, strict=True):
        parts[number].append(stream._advance(chunks, own_frames, state))


class _Mel(Frontend):
    name = "mel"
    hop_seconds = 0.01
    chunk_frames = CHUNK_FRAMES
    window_frames = _WINDOW_CHUNKS * CHUNK_FRAMES
    score_chunks = 2

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum
        self.width = spectrum.bands
        self.history = spectrum.history

    def step(self, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
        return self._spectrum.frames(samples), state


class _Embedding(Frontend):
    name = "embedding"
    hop_seconds = 0.08
    chunk_frames = 1
    width = embedding_graph.WIDTH
    warm_up = embedding_graph.WARM_UP
    window_frames = _WINDOW_CHUNKS - embedding_graph.WARM_UP
    history = FOR_EMBEDDING.history

    def __init__(self) -> None:
        self._session = _session(embedding_graph.build(streaming=True).SerializeToString())
        self.state_size = self._session.get_inputs()[1].shape[1]

    def step(self, samples: Floats, state: Floats) -> tuple[Floats, Floats]:
        feed = {"frames": FOR_EMBEDDING.frames(samples), "state": state}
        embeddings, state = self._session.run(None, feed)
        return embeddings, state


def _session(graph: bytes) -> Any:
    # Not at the top: the web process imports this file at its start and needs no engine before the first stream.
    from workers.tts.onnx_session import open_session

    return open_session(graph, threads=1)


@cache
def frontend(name: Name) -> Frontend:
    """The frontend of that name; one for the process.

    Raises:
        ValueError: there is none.
    """
    if name == "embedding":
        return _Embedding()
    if name == "mel":
        return _Mel(FOR_SCRATCH)
    raise ValueError(f"there is no frontend {name!r}: embedding and mel are known")
