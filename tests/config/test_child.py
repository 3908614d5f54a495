"""One child process: real ones, stopped, orphaned and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.child import LOG_MAX_BYTES, Child, StartFailed, _before_exec, running_pid
from tests.config.conftest import ROOT, Stage, eventually


def test_output_is_appended_to_the_log_and_the_tail_shows_this_life_only(stage: Stage) -> None:
    child = stage.child("worker", "--exit", "0")
    for _ in range(2):
        child.start()
        assert eventually(lambda: child.poll() == 0)
    assert child.log_path.read_text() == "worker was here\n" * 2
    assert child.log_path.stat().st_mode & 0o777 == 0o600
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
    child = stage.child("worker", "--deaf", "--helper", "group", grace_seconds=0.1)
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
    child = stage.child("worker", "--helper", "group")
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
    group = Path(f"/proc/{child.pid}/autogroup")
    # Where the kernel groups by session, the group has to give way, too: alone in it, nobody else does.
    assert not group.exists() or group.read_text().split()[-1] == "7"
    child.kill()
    assert eventually(lambda: not child.alive)


def test_a_child_that_was_ready_is_not_asked_again_before_its_next_life(stage: Stage) -> None:
    asked: list[float] = []

    def ready_from_the_second_time_on() -> bool:
        asked.append(time.monotonic())
        return len(asked) > 1

    child = stage.child("worker", probe=ready_from_the_second_time_on)
    for times in (2, 3):
        child.start()
        assert child.ready(10)
        assert child.is_ready()
        assert len(asked) == times
        child.kill()
        assert eventually(lambda: not child.alive)
        assert not child.is_ready()


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


def test_a_pid_file_that_had_no_room_is_written_when_there_is(stage: Stage) -> None:
    # A file in the place of its folder: nothing can be written there.
    run = stage.folder / "run"
    run.touch()
    child = stage.child("worker", pid_path=run / "worker.pid")
    child.start()
    assert child.pid_path
    assert running_pid(child.pid_path) is None
    assert child.poll() is None
    run.unlink()
    assert child.poll() is None
    assert running_pid(child.pid_path) == child.pid
    child.stop()
