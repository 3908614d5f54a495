"""Two hosts on one machine: network namespaces with a name each, a shared mount, a line that can be cut."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config import embedded, server_data
from config.child import Child
from models.files import FileStore
from tests.conftest import eventually
from tests.journeys.product import ROOT, START_SECONDS, Voiceworks

SPEECH = "select count(*) from workers where host = :host and not draining and engines ? 'hibari'"
# Notes which worker finished an item: its row forgets.
NOTES = """
    create table made (job_id text, item_id bigint, node text);
    create function note_made() returns trigger language plpgsql as
        'begin insert into made values (new.job_id, new.id, old.lease_node); return new; end';
    create trigger made after update on job_items for each row
        when (old.state = 'running' and new.state = 'succeeded') execute function note_made();
"""
ALIVE = " and heartbeat_at > now() - interval '15 seconds'"


def missing() -> str:
    """Why there can be no hosts here; empty where there can."""
    for program in ("ip", "unshare", "mount"):
        if shutil.which(program) is None:
            return f"there is no {program} here"
    if os.geteuid():
        return "network namespaces need root"
    name = f"vw-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode == 0:
        tried = _ip("link", "add", f"vwt{os.getpid()}", "netns", name, "type", "veth", check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True)
class Host:
    """A network namespace; programs in it see a host of this name.

    Attributes:
        name: Of the host, and of its namespace.
        address: By which the other host reaches it.
        var_dir: Its own; of it only ``files`` is shared.
    """

    name: str
    address: str
    var_dir: Path

    def inside(self, argv: Sequence[str], *, shared: Path | None = None) -> list[str]:
        """The command that runs a program on this host, with ``shared`` mounted as its stored files."""
        files = self.var_dir / "files"
        mount = "" if shared is None else f"mount --bind {shared} {files} && "
        # Each execs the next: in the end it is one process, the program.
        script = f'hostname {self.name} && {mount}exec "$@"'
        return ["ip", "netns", "exec", self.name, "unshare", "--uts", "--mount", "sh", "-c", script, "sh", *argv]


class TwoHosts(Voiceworks):
    """Voiceworks on two hosts: everything on one, a fleet on the other."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(folder)
        self.main = Host(f"vwa-{number}", f"10.77.{number}.1", self.var_dir)
        self.other = Host(f"vwb-{number}", f"10.77.{number}.2", folder / "other")
        self._console = f"10.78.{number}.1"
        self._lines = ExitStack()
        for host in (self.main, self.other):
            (host.var_dir / "files").mkdir(parents=True, exist_ok=True)
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.files = FileStore(self.shared)
        # What both must agree on, as docs/operations.md has it.
        self.environment |= {
            "HOST": "0.0.0.0",
            "DATABASE_URL": f"postgresql://postgres@{self.main.address}/{embedded.DATABASE}",
            "REDIS_URL": f"redis://{self.main.address}:6379/0",
            "STREAM_REDIS_URL": f"redis://{self.main.address}:6380/0",
            "SECRET_KEY": "the same on both hosts",
        }
        self._servers = [self._valkey("queue", 6379), self._valkey("stream", 6380), self._postgres()]
        self._command = self._program("main", self.main, ["serve"])
        self.fleet = self._program("fleet", self.other, ["run", "fleet"])

    # --- Life ---------------------------------------------------------------------------------------------------------

    def start(self) -> float:
        """Brings everything up."""
        self._lines.enter_context(_lines(self.main, self.other, self._console))
        for server in self._servers:
            server.start()
        for server in self._servers:
            assert server.ready(START_SECONDS), server.log_tail()
        self._command.start()
        self.fleet.start()
        eventually(
            lambda: self.speakers(self.main) > 1 and self.speakers(self.other) > 1, within_seconds=3 * START_SECONDS
        )
        with self.silent.transaction() as session:
            session.execute(text(NOTES))
        return 0.0

    def stop(self) -> None:
        """Stops the fleet of the other host, then all."""
        for child in (self.fleet, self._command):
            child.stop()
            assert child.poll() == 0, child.log_tail()
        self.silent.dispose()
        for server in reversed(self._servers):
            server.stop()

    def demolish(self) -> None:
        """Nothing is left, whatever happened."""
        super().demolish()
        for child in (self.fleet, *self._servers):
            child.stop()
        self._lines.close()

    def processes(self) -> list[int]:
        """Every process of both hosts."""
        found = subprocess.run(["ip", "netns", "pids", self.main.name], capture_output=True, text=True).stdout.split()
        found += subprocess.run(["ip", "netns", "pids", self.other.name], capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found]

    # --- The line between ---------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Nothing passes between the hosts any more, and neither is told."""
        _ip("-n", self.other.name, "link", "set", "dev", "line", "down")

    def mend(self) -> None:
        """The line is whole again."""
        _ip("-n", self.other.name, "link", "set", "dev", "line", "up")

    # --- Views --------------------------------------------------------------------------------------------------------

    def url(self, path: str) -> str:
        """The address of a path, by a line of its own that is never cut."""
        return f"http://{self._console}:{self.port}{path}"

    def speakers(self, host: Host) -> int:
        """How many speech workers of a host are alive, by the register."""
        try:
            return int(self.value(SPEECH + ALIVE, host=host.name))
        except DBAPIError:
            # Its tables are not there yet.
            return 0

    def made_by(self, job_id: str) -> Counter[str]:
        """How many items of a job each host finished."""
        nodes = self.rows("select node from made where job_id = :job", job=job_id)
        return Counter(row.node.partition("@")[2] for row in nodes)

    # ------------------------------------------------------------------------------------------------------------------

    def _program(self, name: str, host: Host, words: list[str]) -> Child:
        return Child(
            name=name,
            argv=host.inside([sys.executable, "-m", "app", *words], shared=self.shared),
            log_path=self.console if host is self.main else self.console.with_name("other.log"),
            env=self.environment | {"VAR_DIR": str(host.var_dir)},
            cwd=ROOT,
            grace_seconds=60.0,
        )

    def _valkey(self, name: embedded.ValkeyName, port: int) -> Child:
        child = embedded.valkey(self.var_dir, name)
        words = [*child.argv, "--port", str(port), "--bind", self.main.address, "--protected-mode", "no"]
        return dataclasses.replace(child, argv=self.main.inside(words))

    def _postgres(self) -> Child:
        child = embedded.postgres(self.var_dir, durable=False)
        words = [*child.argv, "-c", f"listen_addresses={self.main.address}"]
        return dataclasses.replace(child, argv=self.main.inside(words), prepare=partial(self._prepare_postgres))

    def _prepare_postgres(self) -> None:
        embedded.prepare_postgres(self.var_dir, durable=False)
        network = self.main.address.rpartition(".")[0]
        with (self.var_dir / "postgres" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {network}.0/24 trust\n")
        server_data.give_to(self.var_dir / "postgres", server_data.postgres_account(self.var_dir / "postgres"))


@contextmanager
def two_hosts(folder: Path) -> Iterator[TwoHosts]:
    """Voiceworks on two hosts, up and ready."""
    if reason := missing():
        pytest.skip(reason)
    hosts = TwoHosts(folder, random.randrange(1, 255))
    try:
        hosts.start()
        yield hosts
        hosts.stop()
    finally:
        hosts.demolish()


@contextmanager
def _lines(main: Host, other: Host, console: str) -> Iterator[None]:
    with ExitStack() as undoing:
        for host in (main, other):
            _ip("netns", "add", host.name)
            undoing.callback(_ip, "netns", "del", host.name, check=False)
            _ip("-n", host.name, "link", "set", "dev", "lo", "up")
        _ip("-n", main.name, "link", "add", "line", "type", "veth", "peer", "name", "line", "netns", other.name)
        for host in (main, other):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "line")
            _ip("-n", host.name, "link", "set", "dev", "line", "up")
        # Of ours to the main host: the tests' view, not cut with the other.
        ours = f"vw{os.getpid()}"
        _ip("link", "add", ours, "type", "veth", "peer", "name", "console", "netns", main.name)
        _ip("address", "add", f"{console.rpartition('.')[0]}.2/24", "dev", ours)
        _ip("link", "set", "dev", ours, "up")
        _ip("-n", main.name, "address", "add", f"{console}/24", "dev", "console")
        _ip("-n", main.name, "link", "set", "dev", "console", "up")
        yield


def _ip(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done
