"""Short ways to tasks for transcribers, and to those who have them."""

from __future__ import annotations

import io
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import soundfile
from sqlalchemy import update

from models.db import Database
from models.files import FileStore
from models.transcription import assigning, tasks
from models.transcription.assigning import Choice, Held
from models.transcription.tables import BUILT_IN, Assignment
from models.transcription.tasks import NewTask, Sound

HERE = Choice(source=BUILT_IN)


@cache
def tone(seconds: float, rate_hz: int = 8000) -> bytes:
    """A WAV file of a tone that grows."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    file = io.BytesIO()
    soundfile.write(file, np.sin(2 * np.pi * 440 * time) * np.linspace(0.1, 0.9, len(time)), rate_hz, format="WAV")
    return file.getvalue()


def add(
    database: Database, files: FileStore | None = None, *, count: int = 1, seconds: float = 2.0, **more: Any
) -> list[int]:
    """The numbers of new tasks; with ``files`` their sound can be heard."""
    name = "0" * 64 if files is None else files.put(tone(seconds))
    sound = Sound(name, "audio/wav", seconds, [0, 50, 100])
    double_percent = more.pop("double_percent", 0)
    new = [NewTask(f"take_{number}.wav", sound, **more) for number in range(count)]
    with database.transaction() as session:
        return tasks.add(session, new, account_id=None, double_percent=double_percent)


def given(database: Database, agent_id: int, choice: Choice = HERE, *, draw: float = 1.0) -> Held | None:
    """What the agent is given."""
    with database.transaction() as session:
        held = assigning.request(session, agent_id, choice, draw=draw)
        if held is not None:
            session.refresh(held.assignment)
            session.refresh(held.task)
        session.expunge_all()
        return held


def task_of(database: Database, agent_id: int, choice: Choice = HERE) -> int | None:
    """The number of the task that the agent is given."""
    held = given(database, agent_id, choice)
    return None if held is None else held.task.id


def age(database: Database, agent_id: int, **ago: float) -> None:
    """Makes everything that an agent had to do with tasks so much older."""
    earlier = timedelta(**ago)
    with database.transaction() as session:
        session.execute(
            update(Assignment)
            .where(Assignment.agent_id == agent_id)
            .values(
                started_at=Assignment.started_at - earlier,
                lease_until=Assignment.lease_until - earlier,
                ended_at=Assignment.ended_at - earlier,
            )
        )
