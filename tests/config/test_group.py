"""Groups of children: their order, their restarts and their end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from itertools import pairwise

import pytest

from config.child import Child, StartFailed
from config.group import SAME_PRESS_SECONDS, Backoff, Group, _Watched
from tests.config.conftest import Stage
from tests.conftest import eventually


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


def test_a_child_that_cannot_even_be_started_again_is_tried_further(stage: Stage) -> None:
    attempts = iter([None, StartFailed("The disk is full."), None])

    def prepare() -> None:
        if fault := next(attempts):
            raise fault

    with Running([stage.child("worker", prepare=prepare)]) as running:
        assert stage.started("worker")
        os.kill(stage.processes()[0], signal.SIGKILL)
        assert stage.started("worker", times=2)
    assert running.said[2].startswith("worker could not be started again (The disk is full.); again in 0.4 s.")


def test_a_long_life_forgives_failed_starts(stage: Stage) -> None:
    watched = _Watched(stage.child("worker"))
    for lived_seconds, failed_starts in ((9, 1), (1, 2), (10, 0), (1, 1)):
        watched.count(3, lived_seconds)
        assert watched.failed_starts == failed_starts


def test_a_child_that_has_run_well_before_is_tried_further_however_often_it_cannot_start(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the good start, and for none of those that are broken.
    monkeypatch.setattr("config.group.STARTED_SECONDS", 0.3)
    broken = stage.folder / "disk_is_full"
    script = f"import os, sys, time; os.path.exists({str(broken)!r}) and sys.exit(1); time.sleep(60)"
    child = Child(name="worker", argv=[sys.executable, "-S", "-c", script], log_path=stage.folder / "worker.log")
    with Running([child], failed_starts=2) as running:
        eventually(lambda: child.pid is not None and child.lived_seconds > 0.4)
        broken.touch()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        again = "(exit status 1); again in 1.6 s."
        eventually(lambda: any(again in said for said in running.said), within_seconds=20)
        assert not running.ended(0.0)
        broken.unlink()
        eventually(lambda: child.alive and child.lived_seconds > 0.4, within_seconds=20)
    assert running.exit_code == 0


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
    assert stage.at("web", "started") > asked[4]


def test_a_child_that_is_late_stops_all_unless_the_rest_is_of_use_without_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.group.STAGE_SECONDS", 0.5)
    for failed_starts in (5, None):
        late = stage.child(f"late{failed_starts}")
        late.probe = lambda: False
        with Running([stage.child("live")], [late], failed_starts=failed_starts) as running:
            assert running.ended(2.0) is (failed_starts is not None)
            assert running.group.ready.is_set() is (failed_starts is None)
            assert late.alive is (failed_starts is None)
        assert any(f"{late.name} is not ready after" in line for line in running.said)
    assert len(stage.events("live", "ended")) == 2


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
