"""How far a call is, told to whoever asked to be told; and jobs, followed to their end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
from mcp.server.session import ServerSession
from sqlalchemy.exc import DBAPIError

from app.context import Context
from app.mcp.threads import Threads
from app.tools import own
from models.accounts import Caller
from models.jobs.tables import ENDED

# Whoever watches a bar sees it move.
TELL_SECONDS = 0.5
# No client waits for longer; the job goes on, and is asked for with its own tool.
FOLLOW_SECONDS = 600.0


class Progress:
    """What is told of one call; ``note`` may be called by any thread."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._now: tuple[float, str] | None = None
        self._told = -math.inf

    def note(self, share: float, phase: str | None) -> None:
        """So much (0 to 1) is done."""
        self._now = (min(max(share, 0.0), 1.0), phase or "")

    async def tell(self) -> None:
        """Tells it, if it is more than was told before: the protocol knows of no steps back."""
        if self._now is not None and self._now[0] > self._told:
            self._told, phase = self._now
            await self._session.report_progress(self._told, 1.0, phase or None)

    async def tell_for_ever(self) -> None:
        """Tells it whenever there is something new."""
        while True:
            await self.tell()
            await anyio.sleep(TELL_SECONDS)


async def follow(
    here: Context, caller: Caller, job_id: str, progress: Progress, asking: Threads, leaving: Callable[[], bool]
) -> Future[dict[str, Any]]:
    """What ``job_status`` says of a job once it has ended; before, where that takes too long or we are leaving."""
    asked, status = own.Asked(here, caller, progress.note), own.tools()["job_status"]
    gives_up = time.monotonic() + FOLLOW_SECONDS
    while True:
        # No call of a tool: nobody asked for it, and the history tells of what somebody asked for.
        looked = await asking.settled(lambda: status.run(asked, {"job_id": job_id}))
        late = time.monotonic() > gives_up or leaving()
        fault = looked.exception()
        # Postgres is back within seconds.
        passes = isinstance(fault, DBAPIError)
        if fault is None:
            job = looked.result()
            progress.note(job["progress"], job["phase"])
            await progress.tell()
            passes = job["state"] not in ENDED
        if late or not passes:
            return looked
        await anyio.sleep(TELL_SECONDS)
