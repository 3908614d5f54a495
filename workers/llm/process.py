"""What the processes that fine-tune and merge have in common: what they may use, and how they know its end."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workers.errors import WorkError
from workers.saying import Voice

_M_MMAP_THRESHOLD = -3
_KEPT_BYTES_MAX = 4 << 20
# Less than any base model needs for a layer.
_LITTLE_BYTES = 32 << 20

# What torch and those around it say where an allocation fails.
_SAID = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


def main(make: Callable[[Path, Voice], None], exhausted_by: str) -> int:
    """The life of such a process: 0 when everything is in ``out`` of the folder that it is started with.

    ``exhausted_by`` says what needs less memory, for when that does not suffice.
    """
    voice = Voice.alone_on_stdout()
    folder = Path(sys.argv[1])
    try:
        if not (folder / "out").exists():
            make(folder, voice)
    except WorkError as fault:
        voice.say(type="failed", code=fault.code, message=fault.message)
        return 1
    except (MemoryError, OSError, RuntimeError, ImportError) as fault:
        if not exhausted(fault) and not nothing_left():
            raise
        voice.say(type="failed", code="out_of_memory", message=exhausted_by)
        return 1
    voice.say(type="done")
    return 0


def alone(threads: int, *, downloads: bool) -> None:
    """Limits what libraries take and whom they ask; before any of them is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Threads that wait in a loop for each other take the processor from the one that computes.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # glibc would learn to keep blocks of many megabytes, and those that differ a little from step to step add up.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES_MAX)
    # One thread for each that tokenizes would come on top.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["USE_HUB_KERNELS"] = "0"
    if not downloads:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["HF_DATASETS_OFFLINE"] = "1"


def exhausted(fault: BaseException) -> bool:
    """Whether it failed because there was no memory left."""
    if isinstance(fault, MemoryError) or (isinstance(fault, OSError) and fault.errno == errno.ENOMEM):
        return True
    said = str(fault).lower()
    return any(words in said for words in _SAID)


def nothing_left() -> bool:
    """Whether there is no memory for anything: what libraries say then may be about something else altogether."""
    try:
        # Private, as nearly all memory is: limits count no other.
        mmap.mmap(-1, _LITTLE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return True
    return False
