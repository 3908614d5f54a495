"""The Celery app of a worker that kills itself at a named point, the n-th time it comes there; never in the product.

``KILL_AT`` is ``<point>:<n>``. Nothing softens it: no handler runs, no lease is given back, no message acknowledged.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from models import events, speech_clips
from models.files import FileStore
from models.jobs import work
from tasks import run, speech
from tasks.worker import app

__all__ = ["app"]

# Where the function is, its name, and whether death comes after it instead of before.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "segment claimed": (run, "_perform", False),
    "clip claimed": (speech, "speak_text", False),
    "clip spoken": (FileStore, "put", False),
    "file written": (FileStore, "put", True),
    "clip written": (speech_clips, "made", True),
    "segment written": (work, "finish", True),
    "committed": (events, "publish", False),
    "told": (run, "_settle", True),
}


def _dies(function: Callable[..., Any], number: int, *, after: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == number and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


_point, _, _number = os.environ["KILL_AT"].partition(":")
_place, _name, _after = POINTS[_point]
setattr(_place, _name, _dies(getattr(_place, _name), int(_number), after=_after))
