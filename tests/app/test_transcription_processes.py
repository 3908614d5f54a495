"""Transcription over several web processes, one of which is killed: what they say is Postgres', not their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from sqlalchemy import func, select

from models.db import Database
from models.transcription.tables import Agent, Annotation, Assignment, Entry
from tests import making
from tests.conftest import API_KEY
from tests.transcribing import add
from tests.web import Web, serving

HEADERS = {"X-API-Key": API_KEY}
AGENTS = 8


@pytest.fixture
def webs(clean: None, tmp_path: Path) -> Iterator[list[Web]]:
    """Two, each with a port and processes of its own."""
    with serving(tmp_path / "one.log") as one, serving(tmp_path / "two.log") as two:
        yield [one, two]


def post(web: Web, path: str, **body: Any) -> requests.Response:
    return requests.post(web.url(path), json=body, headers=HEADERS, timeout=30)


def test_one_agent_at_two_processes_has_one_task_and_one_text(webs: list[Web], database: Database) -> None:
    add(database, count=AGENTS)
    for agent in range(1, AGENTS + 1):
        given = making.at_once(4, lambda n, agent=agent: post(webs[n % 2], "/api/tasks/request", agent_id=agent).json())  # type: ignore[misc]
        (task_id,) = {each["task_id"] for each in given}
        path = f"/api/tasks/{task_id}/submit"
        answers = making.at_once(
            4,
            lambda n, agent=agent, path=path: post(webs[n % 2], path, agent_id=agent, transcription=f"text {n}"),  # type: ignore[misc]
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["annotation_id"] for answer in answers}) == 1
    with database.transaction() as session:
        for table in (Annotation, Entry, Assignment):
            assert session.scalar(select(func.count()).select_from(table)) == AGENTS
        assert {agent.tasks_completed for agent in session.scalars(select(Agent))} == {1}
    # Both count the same, from the first time they are asked.
    counted = [requests.get(web.url("/api/tasks/available/count"), headers=HEADERS, timeout=10).json() for web in webs]
    assert counted == [{"available": 0, "total_unlabeled": 0, "total_locked": 0}] * 2


def test_a_process_that_is_killed_takes_nobodys_task_or_pay_along(webs: list[Web], database: Database) -> None:
    add(database, count=AGENTS)
    one, two = webs

    def work(agent: int) -> None:
        given = post(two, "/api/tasks/request", agent_id=agent).json()
        body = {"agent_id": agent, "transcription": "a text"}
        path = f"/api/tasks/{given['task_id']}/submit"
        # The answer may never come; the text is sent again to whoever lives.
        with suppress(requests.RequestException):
            post(one, path, **body)
        assert post(two, path, **body).status_code == 200

    def kill(_: int) -> None:
        assert one.child.pid is not None
        for process in psutil.Process(one.child.pid).children():
            process.send_signal(signal.SIGKILL)

    making.at_once(AGENTS + 1, lambda number: kill(number) if number == 0 else work(number))
    with database.transaction() as session:
        for table in (Annotation, Entry, Assignment):
            assert session.scalar(select(func.count()).select_from(table)) == AGENTS
