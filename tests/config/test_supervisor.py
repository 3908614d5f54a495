"""The supervisor and what it is made of: real processes, stopped, starved and killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from config import embedded, settings, supervisor
from config.child import LOG_MAX_BYTES, Child, StartFailed, _before_exec, running_pid
from config.group import SAME_PRESS_SECONDS, Backoff, Group
from config.ownership import AlreadyRunning, Ownership

ROOT = Path(__file__).parents[2]

# A program with a life of its own. It writes what happens to it, and when, into one file for all programs of a test.
PROGRAM = """
import argparse, os, signal, socket, subprocess, sys, time

options = argparse.ArgumentParser()
options.add_argument("name")
options.add_argument("--exit", type=int, help="end at once with this status")
options.add_argument("--stop-seconds", type=float, default=0)
options.add_argument("--deaf", action="store_true", help="do not stop when asked")
options.add_argument("--helper", action="store_true", help="start a process that is deaf, too")
options.add_argument("--listen", type=int, help="answer every request on this port with 200")
options.add_argument("--needs", help="a socket that must still answer at the stop")
options = options.parse_args()
events = os.open(os.path.join(os.path.dirname(__file__), "events"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event):
    os.write(events, f"{time.monotonic()} {options.name} {event}\\n".encode())

def stop(*_):
    note("asked")
    if options.needs:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(options.needs)
            server.sendall(b"PING\\r\\n")
            note("served" if server.recv(5) == b"+PONG" else "starved")
    time.sleep(options.stop_seconds)
    note("ended")
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if options.deaf else stop)
if options.helper:
    helper = subprocess.Popen([sys.executable, __file__, "helper", "--deaf"])
note("started")
print(options.name, "was here")
if options.exit is not None:
    sys.exit(options.exit)
if options.listen:
    server = socket.create_server(("127.0.0.1", options.listen))
    note("listening")
    while True:
        client, _ = server.accept()
        client.recv(1000)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        client.close()
while True:
    time.sleep(0.05)  # not pause(): a signal just before it would be noticed after the next one only
"""


@dataclass(frozen=True)
class Event:
    at: float
    name: str
    what: str


@dataclass(frozen=True)
class Stage:
    """A folder with the program, and what the program's processes wrote."""

    folder: Path

    def events(self, name: str = "", what: str = "") -> list[Event]:
        path = self.folder / "events"
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [Event(float(at), who, did) for at, who, did in found if name in ("", who) and what in ("", did)]

    def at(self, name: str, what: str) -> float:
        """When that happened the first time."""
        return self.events(name, what)[0].at

    def started(self, *names: str, times: int = 1) -> bool:
        """Whether all of them start that often in time."""
        return eventually(lambda: all(len(self.events(name, "started")) >= times for name in names))

    def ended(self, name: str) -> bool:
        """Whether it ends in good order in time."""
        return eventually(lambda: self.events(name, "ended"))

    def child(self, name: str, *options: str, **named: object) -> Child:
        argv = [sys.executable, str(self.folder / "program.py"), name, *options]
        return Child(name, argv, self.folder / f"{name}.log", **named)  # type: ignore[arg-type]

    def processes(self) -> list[int]:
        """The live processes that were started with the folder's path or work in it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes()
                if os.fsencode(self.folder) in words or (entry / "cwd").readlink().is_relative_to(self.folder):
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "program.py").write_text(PROGRAM)
    stage = Stage(tmp_path)
    yield stage
    for pid in stage.processes():  # of a test that failed
        os.kill(pid, signal.SIGKILL)


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet works no more either."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Running:
    """A group that runs in a thread, as the supervisor has it."""

    def __init__(self, *stages: list[Child], failed_starts: int | None = 5, hurry_seconds: float = 2.0) -> None:
        self.said: list[str] = []
        self.exit_code: int | None = None
        self.group = Group(stages, say=self.said.append, failed_starts=failed_starts, hurry_seconds=hurry_seconds)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.exit_code = self.group.run()

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.group.stop()
        self._thread.join()

    def ended(self, seconds: float = 10.0) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


# --- A child ---------------------------------------------------------------------------------------------------------


def test_output_is_appended_to_the_log_and_the_tail_shows_this_life_only(stage: Stage) -> None:
    child = stage.child("worker", "--exit", "0")
    for _ in range(2):
        child.start()
        assert eventually(lambda: child.poll() == 0)
    assert child.log_path.read_text() == "worker was here\n" * 2
    assert child.log_tail() == "worker was here"


def test_a_log_that_grew_too_long_is_put_aside_at_the_next_start(stage: Stage) -> None:
    child = stage.child("worker", "--exit", "0")
    with child.log_path.open("wb") as log:
        log.truncate(LOG_MAX_BYTES + 1)
    child.start()
    assert eventually(lambda: child.poll() == 0)
    assert child.log_path.read_text() == "worker was here\n"
    assert child.log_path.with_name("worker.log.1").stat().st_size == LOG_MAX_BYTES + 1


def test_a_child_that_does_not_stop_is_killed_with_what_it_started(stage: Stage) -> None:
    child = stage.child("worker", "--deaf", "--helper", grace_seconds=0.1)
    child.start()
    assert stage.started("worker", "helper")
    child.stop()
    assert child.poll() == -signal.SIGKILL
    assert eventually(lambda: not stage.processes())


def test_a_stop_reaches_the_child_itself_and_not_what_it_started(stage: Stage) -> None:
    child = stage.child("worker", "--stop-seconds", "0.2")
    child.start()
    assert stage.started("worker")
    began = time.monotonic()
    child.stop()
    assert child.poll() == 0
    assert time.monotonic() - began < 5  # its grace is 20 s: it was not waited for, but seen to end
    assert not [event for event in stage.events(what="asked") if event.name != "worker"]


def test_what_a_killed_child_leaves_in_its_group_is_killed(stage: Stage) -> None:
    child = stage.child("worker", "--helper")
    child.start()
    assert stage.started("worker", "helper")
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    assert eventually(lambda: child.poll() == -signal.SIGKILL)
    assert eventually(lambda: not stage.processes())


def test_a_child_dies_with_its_parent(stage: Stage) -> None:
    script = f"""
import os, sys
from pathlib import Path
from config.child import Child
child = Child("worker", [sys.executable, {str(stage.folder / "program.py")!r}, "worker"], Path(os.devnull))
child.start()
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE) as parent:
        assert stage.started("worker")
        parent.kill()
    assert stage.ended("worker")
    assert eventually(lambda: not stage.processes())


def test_a_child_whose_parent_died_before_it_could_ask_for_the_signal_ends_itself() -> None:
    other_than_parent = os.getppid()
    process = subprocess.Popen(["sleep", "60"], preexec_fn=_before_exec(other_than_parent, signal.SIGTERM, 0))  # noqa: PLW1509
    try:
        assert process.wait(10) == -signal.SIGKILL
    finally:
        process.kill()


def test_a_nice_child_gives_way(stage: Stage) -> None:
    child = stage.child("worker", nice=7)
    child.start()
    assert child.pid
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 7
    child.kill()
    assert eventually(lambda: not child.alive)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(StartFailed, match=r"web cannot be started: .* No such file or directory: 'no-such-program'"):
        Child("web", ["no-such-program"], Path(os.devnull)).start()


def test_a_pid_file_names_its_process_and_no_later_one(stage: Stage) -> None:
    child = stage.child("worker", pid_path=stage.folder / "run" / "worker.pid")
    child.start()
    assert child.pid_path
    assert running_pid(child.pid_path) == child.pid
    left_behind = child.pid_path.read_text()
    child.stop()
    assert not child.pid_path.exists()
    child.pid_path.write_text(left_behind)
    assert running_pid(child.pid_path) is None
    child.pid_path.write_text(left_behind.replace(str(child.pid), str(os.getpid())))
    assert running_pid(child.pid_path) is None  # the number is alive, but has come to mean another process


# --- A group ---------------------------------------------------------------------------------------------------------


def test_the_wait_doubles_to_ten_seconds_and_is_short_again_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.after(lived_seconds=1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert [backoff.after(lived_seconds=30), backoff.after(lived_seconds=29)] == [0.2, 0.4]


def test_a_child_that_dies_is_started_again_after_growing_waits(stage: Stage) -> None:
    with Running([stage.child("worker", "--exit", "3")], failed_starts=None) as running:
        assert stage.started("worker", times=4)
    starts = [event.at for event in stage.events("worker", "started")]
    waits = [later - earlier for earlier, later in pairwise(starts)]
    assert waits[0] >= 0.2
    assert waits[1] >= 0.4
    assert waits[2] >= 0.8
    assert running.said[1].startswith("worker died after 0.")
    assert running.said[1].endswith(f" s (exit status 3); again in 0.2 s. Its log: {stage.folder}/worker.log")


def test_a_child_that_cannot_start_stops_all_and_shows_its_last_words(stage: Stage) -> None:
    with Running([stage.child("store")], [stage.child("web", "--exit", "3")], failed_starts=3) as running:
        assert running.ended()
    assert running.exit_code == 1
    assert len(stage.events("web", "started")) == 3
    assert stage.events("store", "ended")
    assert running.said[-1].startswith("web died 3 times at its start (exit status 3). The last lines of ")
    assert running.said[-1].endswith("web.log:\nweb was here")


def test_workers_that_somebody_kills_are_no_failed_start(stage: Stage) -> None:
    with Running([stage.child("worker")], failed_starts=2) as running:
        for lives in (1, 2, 3):
            assert stage.started("worker", times=lives)
            os.kill(stage.processes()[0], signal.SIGKILL)
        assert stage.started("worker", times=4)
    assert running.exit_code == 0


def test_a_stage_starts_when_the_one_before_is_ready(stage: Stage) -> None:
    asked: list[float] = []

    def ready_when_asked_five_times() -> bool:
        asked.append(time.monotonic())
        return len(asked) == 5

    with Running([stage.child("store", probe=ready_when_asked_five_times)], [stage.child("web")]) as running:
        assert running.group.ready.wait(10)
        assert stage.started("web")
    assert len(asked) == 5  # and never again: it stays ready
    assert stage.at("web", "started") > asked[4]


def test_a_one_time_program_must_succeed_before_the_next_stage_starts(stage: Stage) -> None:
    with Running([stage.child("release", "--exit", "1", once=True)], [stage.child("web")]) as running:
        assert running.ended()
    assert running.exit_code == 1
    assert "release failed (exit status 1)" in running.said[-1]
    assert not stage.events("web")
    with Running([stage.child("release", "--exit", "0", once=True)], [stage.child("web")]) as running:
        assert running.group.ready.wait(10)
        assert stage.started("web")
    assert len(stage.events("release", "started")) == 2
    assert running.exit_code == 0


def test_stages_stop_in_reverse_order_each_after_the_one_before_has_ended(stage: Stage) -> None:
    names = ["store", "web", "worker"]
    with Running(*[[stage.child(name, "--stop-seconds", "0.15")] for name in names]) as running:
        assert stage.started("store", "web", "worker")
        assert running.group.ready.wait(10)
    assert stage.at("worker", "ended") < stage.at("web", "asked")
    assert stage.at("web", "ended") < stage.at("store", "asked")
    assert stage.events("store", "ended")


def test_children_of_one_stage_stop_side_by_side(stage: Stage) -> None:
    names = ["one", "two"]
    with Running([stage.child(name, "--stop-seconds", "0.3") for name in names]):
        assert stage.started("one", "two")
    assert abs(stage.at("one", "asked") - stage.at("two", "asked")) < 0.3


def test_a_stop_during_the_start_stops_what_has_been_started(stage: Stage) -> None:
    with Running([stage.child("store")], [stage.child("web", probe=lambda: False)], [stage.child("beat")]) as running:
        assert stage.started("web")
        running.group.stop()
        assert running.ended()
    assert running.exit_code == 0
    assert not running.group.ready.is_set()
    assert stage.at("web", "ended") < stage.at("store", "asked")
    assert not stage.events("beat")


def test_a_second_stop_hurries_and_the_echo_of_the_first_does_not(stage: Stage) -> None:
    with Running([stage.child("worker", "--deaf")], hurry_seconds=0.1) as running:
        assert stage.started("worker")
        running.group.stop()
        running.group.stop()
        assert not running.ended(SAME_PRESS_SECONDS + 0.3)
        running.group.stop()
        assert running.ended(5)
    assert running.said[-1] == "worker did not stop in time and is killed"
    assert not stage.processes()


# --- Ownership -------------------------------------------------------------------------------------------------------


def test_what_a_killed_owner_left_is_ended_and_what_others_run_is_not(stage: Stage) -> None:
    locks = [stage.folder / "one.lock", stage.folder / "two.lock"]
    left, foreign = (
        subprocess.Popen(["sleep", "60"], env={**os.environ, **Ownership(lock).marks}, start_new_session=True)
        for lock in locks
    )
    with Ownership(locks[0]):
        assert left.poll() == -signal.SIGKILL
        assert foreign.poll() is None
        foreign.kill()
        assert foreign.wait(5) == -signal.SIGKILL


def test_a_lock_is_free_again_though_a_fork_of_its_owner_lives(stage: Stage) -> None:
    lock = stage.folder / "one.lock"
    with Ownership(lock):
        forked = os.fork()
        if not forked:
            signal.pause()
    try:
        with Ownership(lock), pytest.raises(AlreadyRunning, match=f"process {os.getpid()} holds one.lock"):
            Ownership(lock).take()
    finally:
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


# --- The Procfile ----------------------------------------------------------------------------------------------------


def test_a_procfile_is_read_in_its_order_without_its_comments(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# all of it\nweb: gunicorn app:create_app()\n\nworker_io:python -m x: y\n")
    commands = supervisor.read_procfile(tmp_path / "Procfile")
    assert list(commands.items()) == [("web", "gunicorn app:create_app()"), ("worker_io", "python -m x: y")]


@pytest.mark.parametrize("text", ["web gunicorn", "web:", "web: a\nweb: b"])
def test_a_procfile_that_cannot_be_understood_names_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "Procfile").write_text(text)
    with pytest.raises(StartFailed, match=f"Procfile, line {len(text.splitlines())}: "):
        supervisor.read_procfile(tmp_path / "Procfile")


def test_commands_run_without_a_shell_in_our_own_environment() -> None:
    beside = Path(sys.executable).parent
    assert supervisor.command("python -c 'print($HOME)'") == [sys.executable, "-c", "print($HOME)"]
    assert supervisor.command("pytest app:create_app()") == [str(beside / "pytest"), "app:create_app()"]
    assert supervisor.command("sleep 1") == ["sleep", "1"]


def test_health_is_an_answer_of_200_and_nothing_else() -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        port = server.server_address[1]
        for status in (503, 200):
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            assert supervisor.answers_health("0.0.0.0", port) is (status == 200)
            thread.join()
        assert not supervisor.answers_health("127.0.0.1", port)  # it listens, and nobody answers
    assert not supervisor.answers_health("127.0.0.1", port)


# --- The whole -------------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """A Procfile of test programs, and the settings under which a supervisor runs it."""

    stage: Stage
    port: int
    environment: dict[str, str]

    @property
    def var_dir(self) -> Path:
        return self.stage.folder / "var"

    def procfile(self, **options: str) -> Path:
        path = self.stage.folder / "Procfile"
        path.write_text("".join(f"{name}: python program.py {name} {text}\n" for name, text in options.items()))
        return path

    def command(self, *only: str, script: str = "") -> list[str]:
        serve = f"sys.exit(supervisor.serve(settings.load(), procfile, only={list(only) or None}))"
        start = "import sys; from pathlib import Path; from config import settings, supervisor\nprocfile = Path({!r})\n"
        return [sys.executable, "-c", start.format(str(self.stage.folder / "Procfile")) + (script or serve)]

    def start(self, *only: str, script: str = "") -> subprocess.Popen[str]:
        """A supervisor alone in its process group, as a terminal's Ctrl-C would find it."""
        return subprocess.Popen(
            self.command(*only, script=script),
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pid(self, name: str) -> int | None:
        return running_pid(self.var_dir / "run" / f"{name}.pid")

    def restarted(self, name: str, former: int) -> bool:
        """Whether it gets another process in time."""
        return eventually(lambda: self.pid(name) not in (None, former))


@pytest.fixture
def site(stage: Stage) -> Site:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Stores that are somebody else's business, and that these programs do not ask for.
    given = {"DATABASE_URL": "postgresql://elsewhere/x", "REDIS_URL": "redis://elsewhere"}
    environment = {"VAR_DIR": str(stage.folder / "var"), "PORTS": str(port), **given}
    return Site(stage, port, environment)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to the line that holds the text; what comes instead, when it ends before."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def test_everything_starts_in_order_and_ctrl_c_stops_it_in_reverse(site: Site) -> None:
    del site.environment["DATABASE_URL"], site.environment["REDIS_URL"]
    queue = embedded.socket_dir(site.var_dir) / "queue.sock"
    site.procfile(
        beat="",
        flower="",
        release="--exit 0",
        web=f"--listen {site.port}",
        fleet=f"--stop-seconds 0.2 --needs {queue}",
    )
    for life in ("first", "second"):
        began = time.monotonic()
        process = site.start()
        output = read_until(process, "flower ready")
        seconds = time.monotonic() - began
        lines = [line.split(" (")[0] for line in output.splitlines()]
        stores = "queue, stream, postgres ready"
        assert lines == [stores, "release done", "web, fleet ready", "beat ready", "flower ready"]
        assert site.stage.started("web", "fleet", "beat", "flower")
        assert site.pid("postgres")
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        output = process.communicate(timeout=10)[0]
        assert output.splitlines() == ["Stopping (Ctrl-C again to hurry) ...", "Stopped."]
        assert process.returncode == 0
        assert not site.stage.processes()

        assert site.stage.at("release", "started") < site.stage.at("web", "started")
        assert site.stage.at("web", "listening") < site.stage.at("beat", "started")
        assert site.stage.at("flower", "ended") < site.stage.at("beat", "asked")
        assert site.stage.at("beat", "ended") < min(site.stage.at("web", "asked"), site.stage.at("fleet", "asked"))
        assert site.stage.events("fleet", "served")  # the queue outlived the workers
        (site.stage.folder / "events").unlink()
        if life == "second":
            # The programs' own start comes on top, of 5 s in all.
            assert seconds < 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_by_signal_is_orderly(site: Site, number: signal.Signals) -> None:
    site.procfile(worker="")
    process = site.start()
    read_until(process, "worker ready")
    assert site.stage.started("worker")
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert site.stage.events("worker", "ended")


def test_nohup_keeps_it_running_when_the_terminal_closes(site: Site) -> None:
    site.procfile(worker="")
    process = subprocess.Popen(["nohup", *site.command()], cwd=ROOT, env={**os.environ, **site.environment})
    assert site.stage.started("worker")
    process.send_signal(signal.SIGHUP)
    worker = site.pid("worker")
    assert worker
    assert not eventually(lambda: is_gone(worker), 0.3)
    process.terminate()
    assert process.wait(10) == 0


def test_a_second_ctrl_c_hurries_and_leaves_nothing_behind(site: Site) -> None:
    # A process that left its program's group, and that nobody but the supervisor would think of.
    site.procfile(fleet="--deaf --helper", web=f"--listen {site.port}")
    process = site.start()
    read_until(process, "ready")
    assert site.stage.started("fleet", "helper", "web")
    process.send_signal(signal.SIGINT)
    read_until(process, "Stopping")
    assert not eventually(lambda: process.poll() is not None, SAME_PRESS_SECONDS + 0.1)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=10)[0]
    assert output.count("fleet did not stop in time and is killed") == 1
    assert process.returncode == 0
    assert not site.stage.processes()


def test_after_a_kill_of_the_supervisor_the_next_one_starts_though_deaf_programs_hold_its_port(site: Site) -> None:
    site.procfile(web=f"--listen {site.port} --deaf", worker="")
    first = site.start()
    read_until(first, "worker ready")
    assert site.stage.started("web", "worker")
    orphan = site.pid("web")
    first.kill()
    first.communicate(timeout=10)
    assert site.stage.ended("worker")  # the kernel told it
    assert orphan
    assert not is_gone(orphan)
    second = site.start()
    assert "web ready" in read_until(second, "web ready")
    assert is_gone(orphan)
    second.kill()
    second.communicate(timeout=10)


def test_a_second_supervisor_is_refused_with_the_number_of_the_first(site: Site) -> None:
    site.procfile(worker="")
    first = site.start()
    read_until(first, "worker ready")
    second = subprocess.run(site.command(), cwd=ROOT, env={**os.environ, **site.environment}, capture_output=True)
    assert second.returncode == 1
    assert f"already runs on {site.var_dir}: process {first.pid} ".encode() in second.stdout
    assert site.pid("worker")
    first.terminate()
    first.communicate(timeout=10)


def test_a_named_program_joins_what_runs_and_leaves_without_it(site: Site) -> None:
    site.procfile(release="--exit 0", worker="", worker_train="")
    first = site.start("worker")
    read_until(first, "worker ready")
    guest = site.start("worker_train")
    assert "release" not in read_until(guest, "worker_train ready")
    assert site.stage.started("worker_train")
    guest.terminate()
    guest.communicate(timeout=10)
    assert guest.returncode == 0
    assert site.stage.events("worker_train", "ended")
    assert site.pid("worker")
    first.terminate()
    first.communicate(timeout=10)
    assert len(site.stage.events("release", "started")) == 1


def test_an_unknown_program_is_named_with_those_there_are(site: Site) -> None:
    site.procfile(web="", worker="")
    with pytest.raises(StartFailed, match="has no wroker; it has web, worker"):
        supervisor.Supervisor(load(site), site.stage.folder / "Procfile", only=["wroker"])


def load(site: Site) -> settings.Settings:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in site.environment.items():
            environment.setenv(name, value)
        return settings.load()


def test_a_release_that_fails_shows_its_output_and_starts_nothing(site: Site) -> None:
    site.procfile(release="--exit 4", worker="")
    process = site.start()
    output = process.communicate(timeout=10)[0]
    assert process.returncode == 1
    assert "release failed (exit status 4)" in output
    assert "\nrelease was here\n" in output
    assert not site.stage.events("worker")


def test_servers_that_are_killed_come_back(site: Site) -> None:
    del site.environment["DATABASE_URL"], site.environment["REDIS_URL"]
    site.procfile(worker="")
    with supervisor.Supervisor(load(site), site.stage.folder / "Procfile") as running:
        assert running.wait_ready()
        for name in ("postgres", "queue"):
            killed = site.pid(name)
            assert killed
            os.kill(killed, signal.SIGKILL)
            assert site.restarted(name, killed)
        assert eventually(lambda: embedded.postgres_ready(site.var_dir))
        assert eventually(lambda: embedded.valkey_ready(site.var_dir, "queue"))
    assert running.exit_code == 0
    assert not site.stage.processes()


FOREGROUND = """
import time
with supervisor.Supervisor(settings.load(), procfile) as running:
    assert running.wait_ready()
    print("in front", flush=True)
    {work}
    print("finished", flush=True)
    running.wait()
print("left", flush=True)
sys.exit(running.exit_code)
"""


def test_ctrl_c_interrupts_what_runs_in_front_and_stops_the_rest(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="time.sleep(60)"))
    read_until(process, "in front")
    assert site.stage.started("worker")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=10)[0]
    assert output.splitlines()[-2:] == ["Stopped.", "left"]
    assert "finished" not in output
    assert process.returncode == 0
    assert site.stage.events("worker", "ended")


def test_what_runs_in_front_ends_and_the_rest_runs_on(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="pass"))
    assert "finished" in read_until(process, "finished")
    worker = site.pid("worker")
    assert worker
    os.kill(worker, signal.SIGKILL)  # and is watched
    assert site.restarted("worker", worker)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0].endswith("left\n")
    assert process.returncode == 0


def test_a_fault_of_what_runs_in_front_stops_the_rest_and_is_shown(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="raise ValueError('no voice')"))
    output = process.communicate(timeout=10)[0]
    assert "ValueError: no voice" in output
    assert process.returncode == 1
    assert not site.stage.processes()
