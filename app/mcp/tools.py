"""Requests of the protocol: which tools there are for whoever asks, and calls of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from starlette.requests import Request

from app.context import Context
from app.mcp import answering, offering, progress
from app.mcp.door import caller_of
from app.mcp.threads import Threads
from app.tools import calling, own
from models.accounts import Caller
from models.jobs.tables import CANCELLED, FAILED

Asked = ServerRequestContext[Any, Request]

EVENTS = "text/event-stream"
# Of those that a process makes at once (app/mcp/server.py): some are left for others while a service hangs.
CALLS_OF_ONE = 16


class Tools:
    """Answers requests: questions to our own servers in ``asking``, calls in ``calls``.

    ``leaving`` says whether this process is about to end.
    """

    def __init__(self, here: Context, asking: Threads, calls: Threads, leaving: Callable[[], bool]) -> None:
        self._here = here
        self._asking = asking
        self._calls = calls
        self._leaving = leaving
        # Calls at work of each account.
        self._at_work: Counter[str | None] = Counter()

    async def everything(self, asked: Asked, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """The tools of whoever asks."""
        caller = caller_of(_request(asked))

        def look() -> list[types.Tool]:
            with self._here.database.reading() as session:
                return offering.listed(session, caller)

        looked = await self._asking.settled(look)
        if fault := looked.exception():
            answering.log.error("Unexpected error", exc_info=fault)
            raise MCPError(types.INTERNAL_ERROR, "The tools cannot be listed at the moment.")
        return types.ListToolsResult(tools=looked.result())

    async def call(self, asked: Asked, params: types.CallToolRequestParams) -> types.CallToolResult:
        """What a tool gave, or why it gave nothing."""
        request = _request(asked)
        caller, told = caller_of(request), progress.Progress(asked.session)

        def make() -> tuple[Any, types.CallToolResult]:
            with self._here.database.reading() as session:
                made = offering.call_of(session, params.name, params.arguments or {}, told.note)
            result = calling.call(self._here, caller, made).result
            return result, answering.given(result)

        if self._at_work[caller.account_id] >= CALLS_OF_ONE:
            return answering.refused(f"{CALLS_OF_ONE} calls of yours are at work; wait for one of them.", None)
        self._at_work[caller.account_id] += 1
        loop = asyncio.get_running_loop()

        def counted() -> tuple[Any, types.CallToolResult]:
            try:
                return make()
            finally:
                # Here, as whoever called may have left.
                loop.call_soon_threadsafe(self._at_work.subtract, [caller.account_id])

        async with anyio.create_task_group() as group:
            group.start_soon(told.tell_for_ever)
            done = await self._calls.settled(counted)
            group.cancel_scope.cancel()
        if fault := done.exception():
            return answering.failed(params.name, fault)
        result, answer = done.result()
        # Whoever cannot be told anything on the way is not kept waiting.
        watches = "progress_token" in (asked.meta or {}) and EVENTS in request.headers.get("Accept", "")
        if watches and params.name in own.tools() and isinstance(result, dict) and "job_id" in result:
            return await self._followed(params.name, caller, result, told)
        return answer

    async def _followed(
        self, tool: str, caller: Caller, first: dict[str, Any], told: progress.Progress
    ) -> types.CallToolResult:
        job_id = str(first["job_id"])
        looked = await progress.follow(self._here, caller, job_id, told, self._asking, self._leaving)
        if fault := looked.exception():
            return answering.failed(tool, fault)
        job = looked.result()
        if job["state"] in (FAILED, CANCELLED):
            became = "failed" if job["state"] == FAILED else "was cancelled"
            why = f": {job['error']['message']}" if job["error"] else "."
            return answering.refused(f"Job {job_id} {became}{why}", first | job)
        return answering.given(first | job)


def _request(asked: Asked) -> Request:
    assert asked.request is not None
    return asked.request
