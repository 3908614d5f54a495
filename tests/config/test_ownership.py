"""Sole ownership: a lock that dies with its holder, and the end of what a former holder left."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from config.child import StartFailed
from config.ownership import AlreadyRunning, Ownership


def test_what_a_killed_owner_left_is_ended_and_what_others_run_is_not(tmp_path: Path) -> None:
    locks = [tmp_path / "one.lock", tmp_path / "two.lock"]
    left, foreign = (
        subprocess.Popen(["sleep", "60"], env={**os.environ, **Ownership(lock).marks}, start_new_session=True)
        for lock in locks
    )
    with Ownership(locks[0]):
        assert left.poll() == -signal.SIGKILL
        assert foreign.poll() is None
        foreign.kill()
        assert foreign.wait(5) == -signal.SIGKILL


def test_a_lock_is_free_again_though_a_fork_of_its_owner_lives(tmp_path: Path) -> None:
    lock = tmp_path / "one.lock"
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


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailed, match=r"VAR_DIR, cannot be used: .*/file/var"):
        Ownership(tmp_path / "file" / "var" / "supervisor.lock").take()
