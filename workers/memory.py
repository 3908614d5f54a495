"""Memory of a process that does large work now and then."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

import psutil

# Less is not worth a look at every object there is.
WORTH_BYTES = 32 << 20

_held_after = 0


def give_back() -> None:
    """Gives what was freed back to the system, where the process has grown since the last time.

    glibc keeps it otherwise, and the next large work takes more on top.
    """
    global _held_after
    if psutil.Process().memory_info().rss - _held_after < WORTH_BYTES:
        return
    gc.collect()
    # There is no such function in other C libraries.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    _held_after = psutil.Process().memory_info().rss
