"""Where it happens: a whole Voiceworks on small disks of its own, and a second host whose line can be cut."""

from __future__ import annotations

import os
import random
import selectors
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from config import embedded
from config.child import Child
from tests.conftest import eventually
from tests.journeys.hosts import Host, missing
from tests.journeys.product import API_KEY, ROOT, Voiceworks

# Much more than the load needs; all of it is memory.
DISK_BYTES, FILES_BYTES = 3 * 2**30, 2**30
# Everything starts at once, often on a machine that others use, too.
UP_SECONDS = 300.0
TRAINER = Path(__file__).with_name("trainer.py")
RATE_PER_SECOND = "0.05"
# A line that is down says nothing; who waits for an answer has given up by then.
_SILENCE_MILLISECONDS = 10_000
_PORTS = (5432, 6379, 6380)


class Place(Voiceworks):
    """One installation; ``folder`` must be new. With ``hosts`` a second machine speaks, too."""

    def __init__(self, folder: Path, *, hosts: bool) -> None:
        var_dir = folder / "var"
        self._disks = [Disk(var_dir, DISK_BYTES), Disk(var_dir / "files", FILES_BYTES)]
        for disk in self._disks:
            disk.mount()
        super().__init__(folder)
        self.whole, self.files_disk = self._disks
        self.environment |= {
            "SECRET_KEY": "the same on both hosts",
            "WEBHOOK_ALLOW_PRIVATE": "1",
            "IMPORT_ALLOW_PRIVATE": "1",
            "TRANSCRIPTION_RATE_PER_SECOND": RATE_PER_SECOND,
            "WORKER_TRAINER": f"{sys.executable} {TRAINER}",
        }
        self.other = Other(folder, self) if hosts and not missing() else None

    def start(self) -> float:
        """Seconds until everything is up, the other host too."""
        began = time.monotonic()
        self.again()
        eventually(self.settled, within_seconds=UP_SECONDS)
        if self.other is not None:
            self.other.start()
        return time.monotonic() - began

    def again(self) -> None:
        """It is started once more, after its supervisor gave up."""
        self._command = self._child()
        self._command.start()
        eventually(self._can_serve, within_seconds=UP_SECONDS)

    def stop(self) -> None:
        """All of it, in good order."""
        if self.other is not None:
            self.other.stop()
        super().stop()

    def demolish(self) -> None:
        """Nothing is left, whatever happened; its disks stay until ``unmount``."""
        if self.other is not None:
            self.other.stop()
        super().demolish()

    def unmount(self) -> None:
        """All that was kept is gone."""
        for disk in reversed(self._disks):
            disk.unmount()

    def queue_socket(self, name: embedded.ValkeyName) -> str:
        """The URL of one of its Valkeys."""
        return embedded.valkey_url(self.var_dir, name)

    @property
    def address(self) -> tuple[int, str]:
        """Its port, and the key of its administrator."""
        return self.port, API_KEY

    def bare(self) -> bool:
        """Whether the supervisor has given up."""
        return not self._command.alive


class Disk:
    """A file system in memory that can be made full at any moment: by having no more room than is used."""

    def __init__(self, place: Path, size_bytes: int) -> None:
        self.place, self._size = place, size_bytes

    def mount(self) -> None:
        """It is there, and empty."""
        self.place.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.place)], check=True)
        # Whoever else keeps something there (Postgres is another user) passes through.
        self.place.chmod(0o755)

    def fill(self) -> None:
        """Not a page is left."""
        for _ in range(50):
            there = os.statvfs(self.place)
            used = (there.f_blocks - there.f_bfree) * there.f_frsize
            # Refused where something was written since.
            if self._resize(used):
                return
        raise AssertionError(f"{self.place} is written faster than it can be filled")

    def clear(self) -> None:
        """There is room again."""
        assert self._resize(self._size)

    def unmount(self) -> None:
        """It is gone, with all that is on it."""
        for _ in range(50):
            if subprocess.run(["umount", str(self.place)], check=False, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        subprocess.run(["umount", "-l", str(self.place)], check=False)

    def _resize(self, size_bytes: int) -> bool:
        words = ["mount", "-o", f"remount,size={size_bytes}", str(self.place)]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0


class Other:
    """A second host: a fleet in a network namespace, which reaches the servers by a line and the files by a mount."""

    def __init__(self, folder: Path, main: Place) -> None:
        number = random.SystemRandom().randrange(1, 255)
        self._ours = f"10.79.{number}.1"
        self._line = f"vwf{number}"
        self.host = Host(f"vwf-{number}", f"10.79.{number}.2", folder / "other")
        self._main = main
        (self.host.var_dir / "files").mkdir(parents=True)
        self._bridge: Bridge | None = None
        self.cut_now = False
        # One core: a live worker and a bulk worker are enough.
        words = ["taskset", "--cpu-list", "0", sys.executable, "-m", "app", "run", "fleet"]
        self.fleet = Child(
            name="fleet of the other host",
            argv=self.host.inside(words, shared=main.var_dir / "files"),
            log_path=folder / "other.log",
            env=main.environment
            | {
                "VAR_DIR": str(self.host.var_dir),
                "DATABASE_URL": f"postgresql://postgres@{self._ours}/{embedded.DATABASE}",
                "REDIS_URL": f"redis://{self._ours}:{_PORTS[1]}/0",
                "STREAM_REDIS_URL": f"redis://{self._ours}:{_PORTS[2]}/0",
            },
            cwd=ROOT,
            grace_seconds=60.0,
        )

    def start(self) -> None:
        """Its line is there, and its workers are registered."""
        name = self.host.name
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "dev", "lo", "up")
        _ip("link", "add", self._line, "type", "veth", "peer", "name", "line", "netns", name)
        _ip("address", "add", f"{self._ours}/24", "dev", self._line)
        _ip("link", "set", "dev", self._line, "up")
        _ip("-n", name, "address", "add", f"{self.host.address}/24", "dev", "line")
        _ip("-n", name, "link", "set", "dev", "line", "up")
        sockets = embedded.socket_dir(self._main.var_dir)
        names = (".s.PGSQL.5432", "queue.sock", "stream.sock")
        self._bridge = Bridge(self._ours, {port: sockets / each for port, each in zip(_PORTS, names, strict=True)})
        self.fleet.start()
        eventually(lambda: self.speakers() > 0, within_seconds=UP_SECONDS)

    def stop(self) -> None:
        """Nothing of it is left."""
        self.fleet.stop()
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None
        subprocess.run(["ip", "netns", "del", self.host.name], check=False, capture_output=True)

    def cut(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self.cut_now = True
        _ip("-n", self.host.name, "link", "set", "dev", "line", "down")

    def mend(self) -> None:
        """The line is whole again."""
        _ip("-n", self.host.name, "link", "set", "dev", "line", "up")
        self.cut_now = False

    def speakers(self) -> int:
        """How many of its workers are alive, by the register."""
        query = (
            "select count(*) from workers where host = :host and not draining"
            " and heartbeat_at > now() - interval '15 seconds'"
        )
        return int(self._main.value(query, host=self.host.name))


class Bridge:
    """Ports of an address that lead to Unix sockets, so that embedded servers can be reached from another host."""

    def __init__(self, address: str, leads_to: dict[int, Path]) -> None:
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        for port, path in leads_to.items():
            listening = socket.create_server((address, port), backlog=64)
            self._selector.register(listening, selectors.EVENT_READ, path)
        threading.Thread(target=self._accept, name="bridge", daemon=True).start()

    def close(self) -> None:
        """Nobody gets through any more."""
        self._over.set()

    def _accept(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.2):
                assert isinstance(key.fileobj, socket.socket)
                near, _ = key.fileobj.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS)
                far = socket.socket(socket.AF_UNIX)
                try:
                    far.connect(str(key.data))
                except OSError:
                    near.close()
                    continue
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
