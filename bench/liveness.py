"""``python -m bench.liveness PORT SECONDS``: how long ``GET /health/live`` takes, asked two hundred times a second.

A process of its own, so that what else the bench does is not measured with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

PAUSE_SECONDS = 0.005
_ROOT = Path(__file__).parents[1]


def taken_ms(port: int, seconds: float) -> list[float]:
    """The milliseconds of each answer, sorted, on one connection that is kept."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        found.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
        time.sleep(PAUSE_SECONDS)
    return sorted(found)


def start(port: int, seconds: float) -> subprocess.Popen[str]:
    """That process, which ``finish`` takes the answers of."""
    argv = [sys.executable, "-m", "bench.liveness", str(port), str(seconds)]
    return subprocess.Popen(argv, cwd=_ROOT, stdout=subprocess.PIPE, text=True)


def finish(asking: subprocess.Popen[str]) -> list[float]:
    """What it found, once it has."""
    said, _ = asking.communicate(timeout=600)
    assert asking.returncode == 0, asking.returncode
    found: list[float] = json.loads(said)
    return found


if __name__ == "__main__":
    print(json.dumps(taken_ms(int(sys.argv[1]), float(sys.argv[2]))))
