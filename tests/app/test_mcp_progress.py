"""Long calls over MCP: how far they are is told, and a job is followed to its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from app.mcp import progress
from app.tools import own
from config.settings import Settings
from models.db import Database
from models.jobs.tables import Job
from tests import making
from tests.app.mcp_served import MODES, Mcp, Mode, rows, served, text_of, tool

Told = list[tuple[float, float | None, str | None]]


@pytest.fixture
def mcp(configured: Settings, clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mcp]:
    """The endpoint, which looks more often than it does for people."""
    monkeypatch.setattr(progress, "TELL_SECONDS", 0.02)
    with served(configured) as running:
        yield running


@pytest.fixture
def job(mcp: Mcp, database: Database, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that the tool ``long_work`` begins, and nobody works at."""
    made = making.submit(database, items=4)
    begins = tool("long_work", lambda asked, arguments: {"job_id": made.id, "status_url": "/somewhere"})
    offered = {"long_work": begins, "job_status": own.tools()["job_status"]}
    monkeypatch.setattr(own, "tools", lambda: offered)
    return made


def call(mcp: Mcp, name: str, told: Told | None, mode: Mode, *steps: Any) -> types.CallToolResult:
    """What a call is answered by a client that wants to be told; after each thing told the next step is taken."""
    left = iter(steps)

    async def hear(share: float, total: float | None, message: str | None) -> None:
        assert told is not None
        told.append((share, total, message))
        # In a thread, as it waits for Postgres.
        if step := next(left, None):
            threading.Thread(target=step).start()

    async def act(client: Client) -> types.CallToolResult:
        return await client.call_tool(name, {}, progress_callback=None if told is None else hear)

    return mcp.talk(act, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_tool_reports_is_told_and_never_goes_back(
    mcp: Mcp, database: Database, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = threading.Semaphore(0)

    def work(asked: own.Asked, arguments: Any) -> Any:
        for share, phase in ((0.25, "looking"), (0.1, "again"), (0.75, "writing")):
            asked.report(share, phase)
            if share != 0.1:
                assert heard.acquire(timeout=10)
        return {"done": True}

    monkeypatch.setattr(own, "tools", lambda: {"long_work": tool("long_work", work)})
    told: Told = []
    answer = call(mcp, "long_work", told, mode, heard.release, heard.release)
    assert answer.structured_content == {"done": True}
    assert told == [(0.25, 1.0, "looking"), (0.75, 1.0, "writing")]
    assert rows(database) == [("long_work", "success", None)]


@pytest.mark.parametrize("mode", MODES)
def test_a_job_is_followed_to_its_end_by_whoever_wants_to_be_told(
    mcp: Mcp, database: Database, job: Job, mode: Mode
) -> None:
    def one_more() -> None:
        (item,) = making.claim_items(database, job)
        making.finish(database, item, {"spoken": True})

    told: Told = []
    answer = call(mcp, "long_work", told, mode, *[one_more] * 4)
    shares = [share for share, _, _ in told]
    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0]
    found = answer.structured_content
    assert (answer.is_error, found["job_id"], found["state"]) == (False, job.id, "succeeded")
    assert found["items"] == {"total": 4, "succeeded": 4, "failed": 0}
    # One call, however long it was followed.
    assert rows(database) == [("long_work", "success", None)]


@pytest.mark.parametrize("mode", MODES)
def test_whoever_does_not_want_to_be_told_has_the_job_at_once(mcp: Mcp, job: Job, mode: Mode) -> None:
    answer = call(mcp, "long_work", None, mode)
    assert answer.structured_content == {"job_id": job.id, "status_url": "/somewhere"}


def test_a_job_that_fails_is_an_error_with_its_reason(mcp: Mcp, database: Database, job: Job) -> None:
    def fail() -> None:
        making.change(database, job, state="failed", error_code="broken", error_message="The lamp fell down.")

    answer = call(mcp, "long_work", [], "auto", fail)
    assert (answer.is_error, text_of(answer)) == (True, f"Job {job.id} failed: The lamp fell down.")
    assert answer.structured_content["error"] == {"code": "broken", "message": "The lamp fell down."}


def test_a_job_is_followed_no_longer_than_somebody_waits_nor_beyond_a_stop(
    mcp: Mcp, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = call(mcp, "long_work", [], "auto", mcp.leaving.set)
    assert (answer.is_error, answer.structured_content["state"]) == (False, "queued")
    mcp.leaving.clear()
    monkeypatch.setattr(progress, "FOLLOW_SECONDS", 0.3)
    assert call(mcp, "long_work", [], "legacy").structured_content["state"] == "queued"
