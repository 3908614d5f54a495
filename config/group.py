"""Several children run as one: started in stages, watched, started again when they die, stopped in reverse order."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from config.child import POLL_SECONDS, Child, StartFailed

# Nothing changes by itself any more: a death is noticed after 50 ms on average, at no measurable cost.
STEADY_SECONDS = 0.1
# The slowest start that was measured, recovery of a killed database, took 2 s; a stage that needs thirty times that
# waits for something that will not come.
STAGE_SECONDS = 60.0
# One broken start may be chance (a port not yet free); five in a row are a fault that somebody must see, unless it has
# run before: then what keeps it from starting (a full disk) passes, and the others go on meanwhile.
FAILED_STARTS = 5
# A child that lives this long had a good start.
STARTED_SECONDS = 10.0
# Wrappers such as `uv run` pass on the Ctrl-C that the terminal has already delivered: that is one press, not two.
SAME_PRESS_SECONDS = 0.3


@dataclass
class Backoff:
    """How long a child that died waits for its next start."""

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    # Who lived this long did not die of the way it was started.
    settled_seconds: float = 30.0
    _next: float = 0.0

    def after(self, lived_seconds: float) -> float:
        """The wait after a life of that length: the first wait, then twice the last one, up to the longest."""
        if lived_seconds >= self.settled_seconds or not self._next:
            self._next = self.first_seconds
        wait = self._next
        self._next = min(2 * wait, self.longest_seconds)
        return wait


class _Watched:
    """A child, the deaths it had at its start, whether it ever had a good one, and when its next life begins."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.backoff = Backoff()
        self.failed_starts = 0
        self.proven = False
        self.due: float | None = None

    def count(self, status: int, lived_seconds: float) -> None:
        """Notes a death, if it tells something about the start."""
        if lived_seconds >= STARTED_SECONDS:
            self.failed_starts = 0
            self.proven = True
        elif status not in (0, -signal.SIGKILL, -signal.SIGTERM):
            # Ended by others or without complaint, it was not broken: a test that kills workers stops nothing.
            self.failed_starts += 1


class _StopAsked(Exception):
    """Leaves the start or the watch, wherever it is."""


class Group:
    """Children in stages; `run` keeps them until `stop`, which a program's own signals may call::

        group = Group([[first], [second, third]], say=print)
        with stopping_on_signals(group.stop):
            sys.exit(group.run())

    Args:
        stages: What is started together; each stage waits until the one before is ready.
        say: Shows a line to people.
        failed_starts: After how many broken starts of a child that never had a good one all are stopped; None tries
            for ever, and goes on without a child that is not ready in time.
        hurry_seconds: The grace that is left to each stage once `stop` was called a second time.
    """

    def __init__(
        self,
        stages: Iterable[Sequence[Child]],
        *,
        say: Callable[[str], None],
        failed_starts: int | None = FAILED_STARTS,
        hurry_seconds: float = 2.0,
    ) -> None:
        self.ready = threading.Event()
        self._stages = [[_Watched(child) for child in stage] for stage in stages if stage]
        self._started: list[list[_Watched]] = []
        self._say = say
        self._failed_starts = failed_starts
        self._hurry_seconds = hurry_seconds
        # Plain values, since `stop` runs in signal handlers, where taking a lock can wait for the code it interrupted.
        self._stop_asked_at: float | None = None
        self._hurried = False

    def stop(self) -> None:
        """Asks for an orderly stop; a second call cuts the grace short. Safe in a signal handler, returns at once."""
        now = time.monotonic()
        if self._stop_asked_at is None:
            self._stop_asked_at = now
        elif now - self._stop_asked_at > SAME_PRESS_SECONDS:
            self._hurried = True

    def run(self) -> int:
        """Starts, watches and stops the children in this thread.

        Returns:
            0 after a stop that was asked for, 1 when a child could not be brought up (what was wrong has been said).
        """
        try:
            for stage in self._stages:
                self._start(stage)
            self.ready.set()
            while True:
                self._tend()
                self._pause(STEADY_SECONDS)
        except _StopAsked:
            self._say("Stopping (Ctrl-C again to hurry) ...")
            return 0
        except StartFailed as fault:
            self._say(str(fault))
            return 1
        finally:
            for stage in reversed(self._started):
                self._stop(stage)

    def _start(self, stage: list[_Watched]) -> None:
        began = time.monotonic()
        self._started.append(stage)
        for watched in stage:
            watched.child.start()
        while not all(watched.child.is_ready() for watched in stage):
            if time.monotonic() - began > STAGE_SECONDS:
                late = next(watched.child for watched in stage if not watched.child.is_ready())
                if self._failed_starts is None:
                    # Starved, perhaps, by those that it must not hold up: stopping them would not help it.
                    self._say(f"{late.name} is not ready after {STAGE_SECONDS:.0f} s, and is waited for no longer")
                    return
                raise StartFailed(f"{late.name} is not ready after {STAGE_SECONDS:.0f} s. {_last_lines(late)}")
            self._pause(POLL_SECONDS)
            self._tend()
        names = ", ".join(watched.child.name for watched in stage)
        outcome = "done" if all(watched.child.once for watched in stage) else "ready"
        self._say(f"{names} {outcome} ({time.monotonic() - began:.1f} s)")
        for watched in stage:
            # It will not be asked again, and what it says (the first admin's password) is meant for who started us
            # and for nobody who reads logs later.
            if watched.child.once and (words := watched.child.log_tail()):
                self._say(words)
                watched.child.log_path.unlink(missing_ok=True)

    def _pause(self, seconds: float) -> None:
        if self._stop_asked_at is None:
            time.sleep(seconds)
        if self._stop_asked_at is not None:
            raise _StopAsked

    def _tend(self) -> None:
        for stage in self._started:
            for watched in stage:
                if watched.due is not None:
                    self._start_again(watched)
                elif watched.child.poll() is not None:
                    self._bury(watched)

    def _bury(self, watched: _Watched) -> None:
        child, status = watched.child, watched.child.poll() or 0
        if child.once:
            if status:
                raise StartFailed(f"{child.name} failed ({_how(status)}). {_last_lines(child)}")
            return
        lived = child.lived_seconds
        watched.count(status, lived)
        hopeless = not watched.proven and watched.failed_starts >= (self._failed_starts or math.inf)
        if hopeless:
            raise StartFailed(
                f"{child.name} died {watched.failed_starts} times at its start ({_how(status)}). {_last_lines(child)}"
            )
        self._wait_for_next_life(watched, f"died after {lived:.1f} s ({_how(status)})", lived)

    def _start_again(self, watched: _Watched) -> None:
        if watched.due is None or time.monotonic() < watched.due:
            return
        watched.due = None
        try:
            watched.child.start()
        except StartFailed as fault:
            # It ran before, so this may pass (a full disk): the rest keeps working meanwhile.
            self._wait_for_next_life(watched, f"could not be started again ({fault})", 0.0)

    def _wait_for_next_life(self, watched: _Watched, what: str, lived_seconds: float) -> None:
        wait = watched.backoff.after(lived_seconds)
        watched.due = time.monotonic() + wait
        self._say(f"{watched.child.name} {what}; again in {wait:.1f} s. Its log: {watched.child.log_path}")

    def _stop(self, stage: list[_Watched]) -> None:
        deadlines = {}
        for watched in stage:
            watched.child.ask_to_stop()
            deadlines[watched.child] = time.monotonic() + watched.child.grace_seconds
        hurried = False
        while deadlines := {child: deadline for child, deadline in deadlines.items() if child.alive}:
            now = time.monotonic()
            if self._hurried and not hurried:
                hurried = True
                for child in deadlines:
                    child.ask_to_stop()  # a fleet hurries its own workers when it hears this again
                    deadlines[child] = min(deadlines[child], now + self._hurry_seconds)
            for child, deadline in deadlines.items():
                if now > deadline:
                    self._say(f"{child.name} did not stop in time and is killed")
                    child.kill()
                    deadlines[child] = math.inf
            time.sleep(POLL_SECONDS)


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls ``stop`` for SIGINT, SIGTERM and a closed terminal, for as long as the block runs."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    # nohup has the hang-up ignored, and so it stays.
    signals = [signal.SIGINT, signal.SIGTERM]
    signals += [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    former = {number: signal.signal(number, handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _how(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _last_lines(child: Child) -> str:
    return f"The last lines of {child.log_path}:\n{child.log_tail() or '(nothing was written)'}"
