"""``python -m tasks.fleet``: one Celery process per GPU, and the processor's speech workers for the other pools."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from signal import Signals

from config import settings, voices
from config.child import Child
from config.group import Group, stopping_on_signals
from workers import device

# The longest sentence on a slow core, and a margin; the supervisor gives the fleet itself a little more.
GRACE_SECONDS = 25.0
# What a worker reads at its start (tasks/worker.py); not imported from there, because that loads Celery.
ENGINES, THREADS, READY_FILE = "WORKER_ENGINES", "WORKER_THREADS", "WORKER_READY_FILE"


@dataclass(frozen=True)
class Member:
    """A worker process to be started."""

    node: str
    lanes: tuple[str, ...]
    nice: int
    env: dict[str, str] = field(default_factory=dict)

    @property
    def argv(self) -> list[str]:
        """Its command: solo, because one process holds one engine and does one thing at a time."""
        return [
            sys.executable,
            "-m",
            "celery",
            "--app=tasks.worker",
            "worker",
            "--pool=solo",
            f"--hostname={self.node}@%h",
            f"--queues={','.join(self.lanes)}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]


def members(cores: int) -> list[Member]:
    """The processes of this machine.

    For each pool on the processor: one live worker at normal priority with two threads, and per core a bulk worker at
    nice 10 with one (a request under full load then takes about 1.15 times as long as on an idle machine, against 2.0
    times at equal priority).
    """
    found: list[Member] = []
    for pool, engines in voices.catalogue().pools.items():
        live, background = voices.live_lane(pool), voices.background_lane(pool)
        names = ",".join(engines)
        threads = str(min(2, cores))
        found.append(Member(f"live-{pool}", (voices.head_of(live), live), 0, {ENGINES: names, THREADS: threads}))
        found += [
            Member(f"bulk{core}-{pool}", (live, background), 10, {ENGINES: names, THREADS: "1"})
            for core in range(cores)
        ]
    return found


def stages(configured: settings.Settings, wanted: list[Member]) -> list[list[Child]]:
    """The members as child processes; first those that somebody waits for, while the cores are theirs alone."""
    live = [_child(configured, member) for member in wanted if not member.nice]
    return [live, [_child(configured, member) for member in wanted if member.nice]]


def _child(configured: settings.Settings, member: Member) -> Child:
    run = configured.var_dir / "run"
    ready_file = run / f"{member.node}.ready"
    return Child(
        name=member.node,
        argv=member.argv,
        log_path=configured.var_dir / "log" / f"{member.node}.log",
        pid_path=run / f"{member.node}.pid",
        env=member.env | {READY_FILE: str(ready_file)},
        nice=member.nice,
        # A fleet that was killed is started again at once: its workers must not go on beside their successors.
        death_signal=Signals.SIGKILL,
        grace_seconds=GRACE_SECONDS,
        prepare=lambda: ready_file.unlink(missing_ok=True),
        probe=ready_file.exists,
    )


def main() -> int:
    """Runs the fleet until it is told to stop; a worker that dies is started again."""
    configured = settings.load()
    group = Group(
        stages(configured, members(device.cores())), say=lambda line: print(line, flush=True), failed_starts=None
    )
    with stopping_on_signals(group.stop):
        return group.run()


if __name__ == "__main__":
    sys.exit(main())
