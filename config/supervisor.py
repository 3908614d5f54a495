"""Everything on one machine with one command: servers, migrations, then the programs of the Procfile."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

from config import embedded
from config.child import Child, StartFailed
from config.group import Group, stopping_on_signals
from config.ownership import AlreadyRunning, Ownership
from config.settings import Settings

# What a user waits for comes first, so that two cores are not shared by nine starting interpreters; nobody waits for
# the page that shows the workers, or for what programs call tools by. Any other program starts with the second.
_FIRST = ("web", "fleet")
_LAST = ("flower", "mcp")
_RELEASE = "release"

# What a program must do before the next stage starts. The others are ready once they live: jobs wait in the database
# for their workers, whenever those come.
_READY: dict[str, Callable[[Settings], bool]] = {
    # Users and the demonstration talk to it at once.
    "web": lambda settings: answers_health(settings.host, settings.ports[0]),
    # Somebody can be spoken to: each live worker says so by a file (tasks/fleet.py).
    "fleet": lambda settings: any((settings.var_dir / "run").glob("live-*.ready")),
}

# The ports a program listens on. Looked at before its start, or the answers of another program on that port would be
# taken for its own.
_PORTS: dict[str, Callable[[Settings], tuple[int, ...]]] = {
    "web": lambda settings: settings.ports,
    "mcp": lambda settings: (settings.mcp_port,),
    "flower": lambda settings: (settings.flower_port,),
}

# What a program cannot do without, of which not everybody has it: it is started where that is installed.
_NEEDS = {"worker_train": "torch"}

# Seconds from "please stop" to the kill; what is cut off is done again by whoever finds its lease expired.
_GRACE_SECONDS = {
    "web": 12.0,  # gunicorn gives its own workers 10 s (config/gunicorn.py) and then ends them itself
    "fleet": 30.0,  # its workers finish the sentence in hand, the longest on a slow core about 20 s
    "release": 30.0,  # a migration rolls back
}
_OTHER_GRACE_SECONDS = 20.0  # workers look for a stop between two items, seconds apart

# What a program says that is shown on the console, where people read it.
_SHOWN = {_RELEASE: {"LOG_FORMAT": "pretty"}}

# How late Ctrl-C may be heard, which is rarely: see `Supervisor.wait`.
_TURN_SECONDS = 0.5

# Half of what Child allows a probe. A web process that listens but is still loading is asked again.
_HEALTH_SECONDS = 0.25


def read_procfile(path: Path) -> dict[str, str]:
    """The commands of a Procfile by name, in its order.

    Raises:
        StartFailed: naming the line that is not ``name: command``, or a name that comes twice.
    """
    commands: dict[str, str] = {}
    try:
        text = path.read_text()
    except OSError as fault:
        raise StartFailed(f"{path} cannot be read: {fault.strerror}.") from fault
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([\w-]+)\s*:\s*(\S.*)", line)
        if not found or found[1] in commands:
            raise StartFailed(f"{path}, line {number}: expected one `name: command` for each name, found {line!r}.")
        commands[found[1]] = found[2]
    return commands


def command(text: str) -> list[str]:
    """A command's words, with programs of our own environment found where that is; no shell and no variables."""
    program, *words = shlex.split(text)
    # Not resolved: the interpreter of a virtual environment is a link, and which link tells it where it is.
    beside = Path(sys.executable).with_name(program)
    if program == "python":
        program = sys.executable
    elif "/" not in program and beside.exists():
        program = str(beside)
    return [program, *words]


def answers_health(host: str, port: int, kind: str = "live", *, within_seconds: float = _HEALTH_SECONDS) -> bool:
    """Whether ``GET /health/live`` (or ``ready``) is answered with 200 there."""
    # A server that listens on every address is asked on this machine's own. http.client would take 50 ms to import.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - asked, not listened on
    try:
        with socket.create_connection((host, port), timeout=within_seconds) as connection:
            connection.sendall(f"GET /health/{kind} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return b" 200 " in connection.recv(64).partition(b"\r\n")[0]
    except OSError:
        return False


def refuse_used_ports(name: str, settings: Settings) -> None:
    """Makes sure that a program finds its ports free.

    Raises:
        StartFailed: naming the port that another program listens on.
    """
    for port in _PORTS[name](settings) if name in _PORTS else ():
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.socket(family) as probe:
            # As servers do: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as fault:
                if isinstance(fault, socket.gaierror) or fault.errno == errno.EADDRNOTAVAIL:
                    raise StartFailed(
                        f"HOST: {settings.host!r} is no address of this machine ({fault.strerror})."
                    ) from fault
                setting = "PORTS" if name == "web" else f"{name.upper()}_PORT"
                raise StartFailed(
                    f"Port {port} of {settings.host} cannot be used by {name}: {fault.strerror}. "
                    f"Stop the program that uses it, or choose another with {setting}."
                ) from fault


def say(line: str) -> None:
    """Shows a line to whoever started us, if there still is somebody."""
    with suppress(OSError):  # the terminal was closed, and we are stopping for it
        print(line, flush=True)


class Supervisor:
    """Voiceworks on this machine for as long as the block runs.

    A thread of its own starts, watches and stops the children, so that the block may do what it likes. Ctrl-C or
    SIGTERM leaves the block by a KeyboardInterrupt that goes no further and stops everything; a second Ctrl-C hurries::

        with Supervisor(settings, Path("Procfile")) as supervisor:
            if supervisor.wait_ready():
                demonstrate()
                supervisor.wait()
        return supervisor.exit_code

    Args:
        only: The programs to start, instead of all of the Procfile. Where a supervisor runs on this VAR_DIR already,
            they join what it started, and leave without it.

    Raises:
        AlreadyRunning: on entering, where another supervisor runs on this VAR_DIR.
        StartFailed: where the Procfile cannot be understood or a server's wheel is missing.

    Attributes:
        exit_code: 0 after an orderly stop, 1 where something could not be started (what it was has been shown).
    """

    def __init__(self, settings: Settings, procfile: Path, *, only: Collection[str] | None = None) -> None:
        self.exit_code = 1
        self._settings = settings
        self._only = only
        self._commands = read_procfile(procfile)
        self._folder = procfile.resolve().parent
        # A name that nobody wrote a command for is a slip of the pen, not a wish to start nothing.
        if unknown := set(only or ()) - self._commands.keys():
            raise StartFailed(f"{procfile} has no {', '.join(sorted(unknown))}; it has {', '.join(self._commands)}.")
        self._interrupted = False
        self._inside = False
        # Waited for instead of the thread's end: in Python 3.11 an interrupted join takes a thread for dead.
        self._finished = threading.Event()
        self._until_left = ExitStack()

    def __enter__(self) -> Self:
        ownership, joins = self._own()
        try:
            stages = [[] if joins else self._stores(), *self._programs(ownership.marks, joins=joins)]
        except StartFailed:
            ownership.release()
            raise
        self._group = Group(stages, say=say)
        if threading.current_thread() is threading.main_thread():
            self._until_left.enter_context(stopping_on_signals(self._interrupt))
        # Not a daemon: however the main thread ends, the interpreter waits until everything is stopped.
        threading.Thread(target=self._run, args=[ownership], name="supervisor").start()
        self._inside = True
        return self

    def wait_ready(self) -> bool:
        """Waits until everything is ready: true; or until it was stopped or could not be started: false."""
        while not self._finished.is_set():
            if self._group.ready.wait(0.05):
                return True
        return False

    def wait(self) -> int:
        """Waits until everything is stopped, and gives the exit code."""
        # In turns: a signal that comes after the interpreter looked for one and before the kernel puts this thread to
        # sleep does not end that sleep, and Ctrl-C would be heard at the next one only.
        while not self._finished.wait(_TURN_SECONDS):
            pass
        return self.exit_code

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._inside = False
        self._group.stop()
        self.wait()
        self._until_left.close()
        return self._interrupted and kind is not None and issubclass(kind, KeyboardInterrupt)

    def _interrupt(self) -> None:
        self._group.stop()
        if self._inside and not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt

    def _own(self) -> tuple[Ownership, bool]:
        """The lock of this supervisor, and whether it joins another that runs on this VAR_DIR."""
        try:
            return Ownership(self._settings.var_dir / "supervisor.lock").take(), False
        except AlreadyRunning:
            if self._only is None:
                raise
        return Ownership(self._settings.var_dir / f"supervisor.{'+'.join(sorted(self._only))}.lock").take(), True

    def _run(self, ownership: Ownership) -> None:
        try:
            self.exit_code = self._group.run()
        finally:
            ownership.release()
            say("Stopped.")
            self._finished.set()

    def _stores(self) -> list[Child]:
        """The servers nobody gave us a URL for; Postgres last, so that the others start while its data is prepared."""
        var_dir, stores = self._settings.var_dir, []
        if self._settings.embedded_redis:
            stores += [embedded.valkey(var_dir, "queue"), embedded.valkey(var_dir, "stream")]
        if self._settings.embedded_postgres:
            stores.append(embedded.postgres(var_dir))
        return stores

    def _programs(self, marks: Mapping[str, str], *, joins: bool) -> list[list[Child]]:
        wanted = [name for name in self._commands if name != _RELEASE and self._is_wanted(name)]
        stages = [
            [] if joins or _RELEASE not in self._commands else [_RELEASE],
            [name for name in wanted if name in _FIRST],
            [name for name in wanted if name not in _FIRST and name not in _LAST],
            [name for name in wanted if name in _LAST],
        ]
        return [[self._program(name, marks) for name in stage] for stage in stages]

    def _is_wanted(self, name: str) -> bool:
        if self._only is not None:
            return name in self._only
        if name not in _NEEDS or "WORKER_TRAINER" in os.environ:
            return True
        return importlib.util.find_spec(_NEEDS[name]) is not None

    def _program(self, name: str, marks: Mapping[str, str]) -> Child:
        var_dir = self._settings.var_dir
        return Child(
            name=name,
            argv=command(self._commands[name]),
            log_path=var_dir / "log" / f"{name}.log",
            pid_path=var_dir / "run" / f"{name}.pid",
            # Unbuffered: what a program said before it died must be in its log.
            env={**marks, "VAR_DIR": str(var_dir), "PYTHONUNBUFFERED": "1", **_SHOWN.get(name, {})},
            cwd=self._folder,
            grace_seconds=_GRACE_SECONDS.get(name, _OTHER_GRACE_SECONDS),
            probe=partial(_READY.get(name, lambda settings: True), self._settings),
            prepare=partial(self._prepare, name),
            once=name == _RELEASE,
        )

    def _prepare(self, name: str) -> None:
        refuse_used_ports(name, self._settings)
        if name == "fleet":
            # Of workers of an earlier life, which would make it ready before it has begun.
            for said_ready in (self._settings.var_dir / "run").glob("live-*.ready"):
                said_ready.unlink(missing_ok=True)


def serve(settings: Settings, procfile: Path, *, only: Collection[str] | None = None) -> int:
    """Runs everything until Ctrl-C, and gives the exit code."""
    try:
        with Supervisor(settings, procfile, only=only) as supervisor:
            supervisor.wait()
    except StartFailed as fault:
        say(str(fault))
        return 1
    return supervisor.exit_code
