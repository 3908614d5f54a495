"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import psutil
from workers import memory
rss = lambda: psutil.Process().memory_info().rss >> 20
freed = [str(number).zfill(2000) for number in range(50_000)]
kept = freed[::1000]
del freed
before = rss()
memory.give_back()
print(before - rss())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have no such function")
def test_what_was_freed_goes_back() -> None:
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", MEASURE], cwd=root, capture_output=True, text=True, check=True)
    # Of some 90 MiB; a few strings that are kept hold up nothing but their own pages.
    assert int(ran.stdout) > 20
