"""Work that waits (for Postgres, Redis, servers outside), done beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from flask import Flask

from config import logs

Value = TypeVar("Value")


class Threads:
    """At most ``most`` threads; further work waits for one of them."""

    def __init__(self, app: Flask, most: int, name: str) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self.unfinished = 0

    async def settled(self, work: Callable[[], Value]) -> Future[Value]:
        """``work``, done within the application; it is asked for what came of it.

        Once begun or waiting it is done, even if nobody waits for it any more: whoever calls a tool and leaves has
        called it.
        """
        self.unfinished += 1
        done = self._pool.submit(self._within, logs.request_id.get(), work)
        waited_for = asyncio.wrap_future(done)
        waited_for.add_done_callback(self._finished)
        await asyncio.wait([waited_for])
        return done

    def close(self) -> None:
        """Returns once all is done."""
        self._pool.shutdown()

    def _within(self, request: str | None, work: Callable[[], Value]) -> Value:
        with self._app.app_context(), logs.belonging(request=request, job=None):
            return work()

    def _finished(self, waited_for: asyncio.Future[Value]) -> None:
        self.unfinished -= 1
        # Looked at: asyncio complains of errors that nobody asked for, and here everybody asks ``done``.
        if not waited_for.cancelled():
            waited_for.exception()
