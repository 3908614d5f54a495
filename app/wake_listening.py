"""Listening to many streams at once for wake words, off the web's loop: all of a process's share each run of the nets.

What came of every stream in the last twentieth of a second is worked on together, in one native thread. A stream that
brings more than ``BACKLOG_SECONDS`` ahead of that is not read for the moment; nothing of it is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from flask import current_app
from numpy.typing import NDArray

from app.http.offload import offload
from app.wake_sound import Sound
from models.errors import Busy
from workers.wakeword.detector import Detector, Score, Scorer, feed_together, open_scorer

log = logging.getLogger(__name__)

# How long sound is gathered before it is worked on. Detectors score every 80 ms.
ROUND_SECONDS = 0.05
# Sound of one stream in one round: a file that is sent at full speed is heard at ten times its own, and leaves as much
# to the others.
HEARD_AT_ONCE_SECONDS = 0.5
BACKLOG_SECONDS = 2.0
# A second of one takes 5 to 10 ms of processor time where there are many: together half a core. Beyond it all would be
# late.
STREAMS_MAX = 64
# Detectors that are kept when nobody uses them. The first takes 50 MiB of the process, with all that it needs; each
# further one about a megabyte.
KEPT = 8
_IDLE_SECONDS = 1.0


class StreamLost(Exception):
    """The listening broke off by an error of ours; the log has it."""


@dataclass(frozen=True)
class Manner:
    """How a detector fires."""

    threshold: float
    smoothing_windows: int
    refractory_seconds: float


class Stream:
    """Sound on its way to a detector of its own."""

    def __init__(self, detector: Detector, tell: Callable[[list[Score]], None], stir: Callable[[], None]) -> None:
        self.detector = detector
        self.tell = tell
        self._stir = stir
        self._waiting: deque[Sound] = deque()
        self._changing = threading.Lock()
        self._room = threading.Event()
        self.backlog_seconds = 0.0
        self.lost = False

    def feed(self, sound: Sound) -> None:
        """Takes more sound; waits while there is too much.

        Raises:
            StreamLost: nobody listens any more.
        """
        if not len(sound.samples):
            return
        while not self.lost and self.backlog_seconds > BACKLOG_SECONDS:
            self._room.clear()
            # There may be some since; what sets it between these two lines is made up for by looking again soon.
            self._room.wait(ROUND_SECONDS)
        if self.lost:
            raise StreamLost
        with self._changing:
            self._waiting.append(sound)
            self.backlog_seconds += sound.seconds
        self._stir()

    def take(self) -> Sound | None:
        """The next of what waits, all at one rate; None when nothing does."""
        taken: list[NDArray[np.int16]] = []
        with self._changing:
            if not self._waiting:
                return None
            rate_hz = self._waiting[0].rate_hz
            room = round(HEARD_AT_ONCE_SECONDS * rate_hz)
            while self._waiting and room > 0 and self._waiting[0].rate_hz == rate_hz:
                samples = self._waiting.popleft().samples
                taken.append(samples[:room])
                if len(samples) > room:
                    self._waiting.appendleft(Sound(samples[room:], rate_hz))
                room -= len(taken[-1])
            heard = sum(map(len, taken)) / rate_hz
            self.backlog_seconds = max(0.0, self.backlog_seconds - heard) if self._waiting else 0.0
        self._room.set()
        return Sound(np.concatenate(taken), rate_hz)

    def lose(self) -> None:
        """Nobody listens any more."""
        self.lost = True
        self._room.set()


class Listening:
    """The streams of one web process."""

    def __init__(self) -> None:
        self._streams: list[Stream] = []
        self._changing = threading.Lock()
        self._stirred = threading.Event()
        self._runs = False
        self._scorers = Scorers()

    @contextmanager
    def stream(self, model: Path, manner: Manner, tell: Callable[[list[Score]], None]) -> Iterator[Stream]:
        """A new stream to the detector in a stored file; ``tell`` is given its scores, in order, and must not wait.

        Raises:
            Busy: too many listen here.
            FileNotFoundError: the file is gone.
            BadInput: it is no detector.
        """
        self._refuse_too_many()
        scorer = self._scorers.get(model)
        # It hears two seconds of silence first: some ten milliseconds of work.
        detector = offload(lambda: Detector(scorer, **vars(manner)))
        stream = Stream(detector, tell, self._stirred.set)
        with self._changing:
            self._refuse_too_many()
            self._streams.append(stream)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._listen, name="wake-listening", daemon=True).start()
        try:
            yield stream
        finally:
            with self._changing:
                self._streams.remove(stream)
            self._stirred.set()

    def _refuse_too_many(self) -> None:
        if len(self._streams) >= STREAMS_MAX:
            raise Busy(f"{len(self._streams)} streams are listened to here already.", retry_after_seconds=5)

    def _listen(self) -> None:
        """Works on what comes until there are no streams."""
        try:
            while self._go_on():
                self._stirred.wait(_IDLE_SECONDS)
                self._stirred.clear()
                time.sleep(ROUND_SECONDS)
                self._round()
        finally:
            with self._changing:
                # Empty, but for an error.
                self._runs = False
                for stream in self._streams:
                    stream.lose()

    def _go_on(self) -> bool:
        with self._changing:
            if not self._streams:
                self._runs = False
            return self._runs

    def _round(self) -> None:
        streams = list(self._streams)
        fed = [(stream, sound) for stream in streams if (sound := stream.take()) is not None]
        if not fed:
            return
        results = offload(_feed, [(stream.detector, sound) for stream, sound in fed])
        for (stream, _), scores in zip(fed, results, strict=True):
            if scores:
                stream.tell(scores)
        if any(stream.backlog_seconds for stream in streams):
            self._stirred.set()


class Scorers:
    """Opened detectors by file; those in use are shared, and some that are not are kept."""

    def __init__(self) -> None:
        self._used: WeakValueDictionary[str, Scorer] = WeakValueDictionary()
        self._kept: OrderedDict[str, Scorer] = OrderedDict()
        # One at a time: two who come for the same one get the same.
        self._opening = threading.Lock()

    def get(self, model: Path) -> Scorer:
        """The detector in a stored file, whose name stands for its content.

        Raises:
            FileNotFoundError: the file is gone.
            BadInput: it is no detector.
        """
        with self._opening:
            scorer = self._used.get(model.name)
            if scorer is None:
                scorer = offload(open_scorer, model)
                self._used[model.name] = scorer
                log.info("Detector %s is loaded; %d are", model.name[:12], len(self._used))
            self._kept[model.name] = scorer
            self._kept.move_to_end(model.name)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return scorer


def _feed(fed: list[tuple[Detector, Sound]]) -> list[list[Score]]:
    return feed_together(
        [(detector, sound.samples.astype(np.float32) * np.float32(1 / 32768), sound.rate_hz) for detector, sound in fed]
    )


def current() -> Listening:
    """The listening of the process that serves this request; begun when somebody first asks, after any fork."""
    found: Listening = current_app.extensions.setdefault("wake_listening", Listening())
    return found
