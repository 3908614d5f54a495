"""Fifty kills of workers and of what they train with, every message sent again: each training is done once."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from config.child import Child
from config.settings import Settings
from models.db import Database
from models.events import Doorbell
from models.jobs.tables import ENDED, QUEUED, Job
from models.llm import sessions, workers
from tasks import submit
from tests import llm_trainer, tuning, waking
from tests.conftest import eventually
from tests.llm_trainer import lives
from tests.tuning import SESSIONS, Headers

KILLS, SESSIONS_AT_ONCE = 50, 20
# Each was the training's process, or the worker above it, as the seed has it.
SEED = 7
NODES = ("first@here", "second@here")


def ring(database: Database) -> None:
    """Sends the message of every unfinished session twice, whether or not somebody has it in hand."""
    with database.transaction() as session:
        # Nobody has to wait for the pause after a death, either.
        session.execute(update(Job).where(Job.state == QUEUED).values(run_after=func.now()))
        ids = session.scalars(select(Job.id).where(Job.state.not_in(ENDED))).all()
    for job_id in ids:
        submit.ring(Doorbell(lane=workers.LANE, kind=sessions.KIND, job_id=job_id, count=2))


def processes(configured: Settings, ids: list[str]) -> list[int]:
    """The training processes that live."""
    folder = sessions.folders(configured.var_dir).root
    started = [path for each in ids if (path := folder / f"{each}.starts").exists()]
    return [int(pid) for path in started for pid in path.read_text().split() if pid.isdecimal() and lives(int(pid))]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills_with_every_message_redelivered_leave_no_phantom_and_no_double_run(
    tuned: FlaskClient, admin: Headers, configured: Settings, database: Database, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    tuning.prompt(tuned, admin)

    def worker(stack: ExitStack, node: str) -> Child:
        return stack.enter_context(
            waking.training_worker(configured, tmp_path, lane=workers.LANE, node=node, command=tuning.STAND_IN)
        )

    killed = {"worker": 0, "trainer": 0}
    with ExitStack() as stack:
        running = {node: worker(stack, node) for node in NODES}
        ids = [tuning.begun(tuned, admin, "slow") for _ in range(SESSIONS_AT_ONCE)]
        while sum(killed.values()) < KILLS:
            ring(database)
            alive = eventually(lambda now=ids: processes(configured, now), within_seconds=30)
            time.sleep(chance.uniform(0.0, 1.0))
            if chance.random() < 0.5:
                node = chance.choice(NODES)
                os.kill(running[node].pid or 0, signal.SIGKILL)
                killed["worker"] += 1
                running[node] = worker(stack, node)
            elif lives(pid := chance.choice(alive)):
                os.kill(pid, signal.SIGKILL)
                killed["trainer"] += 1
            if all(tuning.status(tuned, admin, each)["status"] in ("completed", "failed") for each in ids):
                ids += [tuning.begun(tuned, admin, "slow") for _ in range(SESSIONS_AT_ONCE)]

        def ended() -> bool:
            ring(database)
            time.sleep(0.5)
            return all(tuning.status(tuned, admin, each)["status"] in ("completed", "failed") for each in ids)

        eventually(ended, within_seconds=300)
        eventually(lambda: not processes(configured, ids), within_seconds=10)
    words = [tuning.status(tuned, admin, each) for each in ids]
    starts = [tuning.starts(configured, each) for each in ids]
    print(f"{killed}, {len(ids)} sessions, {sum(map(len, starts))} starts,",
          f"{sum(word['status'] == 'failed' for word in words)} failed")  # fmt: skip
    for each, word in zip(ids, words, strict=True):
        if word["status"] == "failed":
            # Five times in a row without having come any further: its fault, as far as anybody can tell.
            assert word["error"]["code"] in ("TRAINING_DIED", "WORKER_LOST"), word
            continue
        assert word["progress"] == 100.0
        steps = [point["step"] for point in tuning.curve(database, each)]
        assert steps == sorted(set(steps))
        assert steps[-1] == llm_trainer.STEPS
        assert tuned.get(f"{SESSIONS}/{each}/adapter", headers=admin).status_code == 200
    with database.transaction() as session:
        held = select(func.count()).select_from(Job).where(Job.token.is_not(None), Job.state.not_in(ENDED))
        assert session.scalar(held) == 0
