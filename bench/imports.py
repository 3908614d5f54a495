"""``python -m bench.imports``: a course archive of 50 MB through the product; the seconds and the worker's memory.

The archive is a folder of HTML pages with pictures, as a course is: 11 MB of text in 850 pages, and pictures that do
not get smaller. Writes ``bench/results/imports-<time>.json``.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil
import requests
from rich.console import Console

from bench import record
from bench.service import Service

PICTURES, PICTURE_BYTES = 78, 500_000
PAGES, PAGE_BYTES = 850, 13_000
MEMORY_MAX_MB = 300
_WORDS = (
    "river stone market window engine teacher history measure sailor clock island winter garden number letter bridge "
    "harbour captain longitude compass copper feather machine theory village mountain question answer summer journey"
).split()


def archive() -> bytes:
    """The zip: pages of paragraphs that all differ, and pictures of noise."""
    draws = random.Random(1)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as made:
        for number in range(PAGES):
            picture = f'<img src="pictures/{number % PICTURES}.png" alt="Figure {number}">'
            parts = [f"<html><head><title>Lesson {number}</title></head><body><h1>Lesson {number}</h1>{picture}"]
            while sum(map(len, parts)) < PAGE_BYTES:
                sentences = [
                    " ".join(draws.choices(_WORDS, k=draws.randint(6, 18))).capitalize() + "." for _ in range(5)
                ]
                parts.append(f"<p>{' '.join(sentences)}</p>")
            made.writestr(f"course/{number:04d}.html", "".join([*parts, "</body></html>"]))
        for number in range(PICTURES):
            made.writestr(f"course/pictures/{number}.png", b"\x89PNG\r\n\x1a\n" + draws.randbytes(PICTURE_BYTES))
        made.writestr("course/LICENSE", "Creative Commons Attribution 4.0 International (CC BY 4.0)")
    return content.getvalue()


def memory_mb(process: psutil.Process, name: str) -> int:
    """``VmRSS``, what is resident now, or ``VmHWM``, the most that ever was."""
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) // 1024
    raise LookupError(name)


def measure(service: Service, content: bytes) -> dict[str, Any]:
    """One import: seconds in all and in each stage, memory before and at its highest."""
    port, key = service.address
    url, headers = f"http://127.0.0.1:{port}/api/imports", {"X-API-Key": key}
    worker = service.worker("imports@")
    before = memory_mb(worker, "VmRSS")
    began = time.monotonic()
    fields = {"source": "file", "accept_license": "true"}
    started = requests.post(url, data=fields, files={"file": ("course.zip", content)}, headers=headers, timeout=120)
    assert started.status_code == 202, started.text
    stages: dict[str, float] = {}
    while True:
        shown = requests.get(f"{url}/{started.json()['id']}", headers=headers, timeout=30).json()
        now = time.monotonic() - began
        if shown["current_stage"]:
            stages.setdefault(shown["current_stage"], round(now, 2))
        if shown["status"] not in ("pending", "processing"):
            break
        time.sleep(0.05)
    assert shown["status"] == "completed", shown
    return {
        "seconds": round(now, 1),
        "stages_began_at": stages,
        "memory_before_mb": before,
        "memory_highest_mb": memory_mb(worker, "VmHWM"),
    }


def main() -> None:
    """Imports the archive, prints and writes the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    console, load = Console(), os.getloadavg()
    content = archive()
    found = []
    # Each in a worker that has done nothing before.
    for _ in range(repeats):
        with Service() as service:
            found.append(measure(service, content))
            console.print(found[-1])
    highest = max(each["memory_highest_mb"] for each in found)
    met = "met" if highest < MEMORY_MAX_MB else "not met"
    console.print(f"{len(content) / 1e6:.0f} MB: highest memory {highest} MB, below {MEMORY_MAX_MB}: {met}")
    figures = {"archive_mb": round(len(content) / 1e6, 1), "imports": found, "memory_below_300_mb": met}
    _, path = record.write(figures, packages=("lxml", "beautifulsoup4"), load_before=load, name="imports-")
    console.print(f"Written to {path}.")


if __name__ == "__main__":
    main()
