"""Memory of a process that does large work now and then."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Gives what was freed back to the system: glibc keeps it otherwise, and the next large work takes more on top."""
    gc.collect()
    # There is no such function in other C libraries.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
