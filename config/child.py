"""One child process: started, asked whether it is ready, stopped, and never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, BinaryIO

# A probe costs well under a millisecond, so asking this often is free, and a start loses 10 ms to it on average.
POLL_SECONDS = 0.02

# Enough to find what went wrong in; the log before is kept beside, so that two of these is what a program may fill.
LOG_MAX_BYTES = 20_000_000

_PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec the look-up would wait for a lock that another thread, importing a library,
# may have held at the fork, and for ever.
_prctl = ctypes.CDLL(None).prctl


class StartFailed(Exception):
    """Something could not be started; the text is a whole sentence for the console."""


def _always() -> bool:
    return True


def _nothing() -> None:
    return None


@dataclass(eq=False)
class Child:
    """A program to run beside us, and its one process while it runs.

    The kernel signals a child when the *thread* that started it ends, not only when the process does: start children
    in a thread that outlives them, and use each child from that thread alone.

    Attributes:
        name: What the console and the log and pid files call it.
        argv: The program and its arguments; no shell sees them.
        log_path: Where its output is appended.
        pid_path: Where its number is written while it runs, for people and tests (see `running_pid`).
        env: What is added to our own environment.
        user: The user it runs as, where we are root and it must not be.
        nice: How much lower than ours its priority is.
        stop_signal: What asks it to end in good order.
        death_signal: What the kernel sends it when we die without a word.
        grace_seconds: How long it may take to stop before it is killed.
        probe: Whether it can serve yet, asked only while it lives; it must answer within half a second.
        prepare: Called before every start; raises `StartFailed` where a start is of no use.
        once: It is ready when it has ended with status 0, and is not started again.
        speaks: What it writes to its standard output is for us, who read it at `output`, and not for its log.
        pass_fds: Descriptors of ours that it inherits.
    """

    name: str
    argv: Sequence[str]
    log_path: Path
    pid_path: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: int | None = None
    nice: int = 0
    stop_signal: Signals = Signals.SIGTERM
    death_signal: Signals = Signals.SIGTERM
    grace_seconds: float = 20.0
    probe: Callable[[], bool] = _always
    prepare: Callable[[], None] = _nothing
    once: bool = False
    speaks: bool = False
    pass_fds: Collection[int] = ()

    _process: Popen[bytes] | None = field(default=None, init=False, repr=False)
    _ready: bool = field(default=False, init=False, repr=False)
    _numbered: bool = field(default=True, init=False, repr=False)
    _log_start: int = field(default=0, init=False, repr=False)
    _started_at: float = field(default=0.0, init=False, repr=False)

    def start(self) -> None:
        """Starts it and returns at once.

        Raises:
            StartFailed: where it cannot be prepared or its program cannot be run.
        """
        self._ready = False
        try:
            self.prepare()
            with _open_log(self.log_path) as log:
                self._log_start = log.tell()
                self._process = Popen(
                    self.argv,
                    stdin=DEVNULL,
                    stdout=PIPE if self.speaks else log,
                    stderr=log,
                    pass_fds=self.pass_fds,
                    cwd=self.cwd,
                    env={**os.environ, **self.env},
                    user=self.user,
                    # Another user's program must not have our groups.
                    group=self.user,
                    extra_groups=None if self.user is None else (),
                    # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop it in its turn.
                    start_new_session=True,
                    preexec_fn=_before_exec(os.getpid(), self.death_signal, self.nice),  # noqa: PLW1509 - see there
                )
        except OSError as fault:
            raise StartFailed(f"{self.name} cannot be started: {fault}.") from fault
        self._started_at = time.monotonic()
        self._numbered = self._write_number()

    @property
    def pid(self) -> int | None:
        """The number of its latest process."""
        return self._process.pid if self._process else None

    @property
    def output(self) -> IO[bytes]:
        """What the latest process of one that ``speaks`` says."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def lived_seconds(self) -> float:
        """The seconds since its latest start."""
        return time.monotonic() - self._started_at

    def poll(self) -> int | None:
        """Its exit status when it is dead (negative: the signal that killed it), None while it lives."""
        if self._process is None:
            return None
        if self._process.returncode is not None:
            return self._process.returncode
        if not os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if not self._numbered:
                self._numbered = self._write_number()
            return None
        # Dead but not yet reaped, so its number is still ours and its group can hold nothing but what it left: server
        # processes on the port that its next life needs, or workers that would do everything twice.
        self._kill_group()
        self._process.wait()
        if self.pid_path:
            self.pid_path.unlink(missing_ok=True)
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self.poll() is None

    def is_ready(self) -> bool:
        """Whether it can serve now; once true, true for as long as it lives."""
        if self.once:
            return self.poll() == 0
        if not self.alive:
            return False
        self._ready = self._ready or self.probe()
        return self._ready

    def ready(self, timeout_seconds: float) -> bool:
        """Whether it can serve within that time; false as soon as it has died."""
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if not self.alive or time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def ask_to_stop(self) -> None:
        """Sends the stop signal to the process itself: what it started is its own to stop."""
        if self.alive and self._process:
            self._process.send_signal(self.stop_signal)

    def finish(self) -> None:
        """Waits until it has ended, and kills it with all its group when that takes longer than its grace."""
        deadline = time.monotonic() + self.grace_seconds
        while self.alive:
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Asks it to stop, and makes sure that it does."""
        self.ask_to_stop()
        self.finish()

    def kill(self) -> None:
        """Kills it and its group; `poll` says when they are gone."""
        if self.alive:
            self._kill_group()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of what it has written since its latest start."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            # Twenty long lines fit into 16 KiB; a log of megabytes is not read for them.
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - 16_384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _write_number(self) -> bool:
        """Whether the pid file says which process this is; on a full disk the child runs without for a while."""
        if self.pid_path is None or self._process is None:
            return True
        try:
            self.pid_path.parent.mkdir(parents=True, exist_ok=True)
            self.pid_path.write_text(f"{self._process.pid}\n{_start_ticks(self._process.pid)}\n")
        except OSError:
            return False
        return True

    def _kill_group(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def running_pid(pid_path: Path) -> int | None:
    """The process that a pid file names, or None where it is gone, even if its number belongs to another by now."""
    try:
        pid, ticks = pid_path.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _start_ticks(int(pid)) == ticks else None


def _start_ticks(pid: int) -> str:
    """When a process was started, in clock ticks since boot, which together with its number names it for good."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "gone"
    # The second field is the program's name and may hold anything, so count from behind its closing bracket.
    state, *fields = stat.rpartition(")")[2].split()
    return "gone" if state == "Z" else fields[18]


def _open_log(log_path: Path) -> BinaryIO:
    """The log, open for more; a long one is put aside first."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > LOG_MAX_BYTES:
        log_path.replace(log_path.with_name(log_path.name + ".1"))
    # Its owner's alone: a program may say what is meant for the operator.
    return os.fdopen(os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def _before_exec(parent: int, death_signal: Signals, nice: int) -> Callable[[], None]:
    """What the new process does between fork and exec; it takes no lock that another of our threads might hold."""
    number = int(death_signal)

    def run() -> None:
        _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The kernel promises a signal for a death to come: if we died before the promise, nobody will send it.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        if nice:
            os.nice(nice)
            # Linux groups processes by session for scheduling, and each child of ours is a session: against other
            # groups only the group's own nice counts, and a process's counts for nothing.
            with suppress(OSError):  # no such file: a kernel that does not group
                _set_group_nice(nice)

    return run


def _set_group_nice(nice: int) -> None:
    group = os.open("/proc/self/autogroup", os.O_WRONLY)
    try:
        # Of all that is not root's, the kernel lets one such change pass in a tenth of a second (EAGAIN), and several
        # children may start together.
        for _ in range(50):
            try:
                os.write(group, b"%d" % nice)
                return
            except BlockingIOError:
                time.sleep(0.1)
    finally:
        os.close(group)
