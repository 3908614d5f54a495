"""Courses from elsewhere through the whole product: a worker that is killed over one, and a large one."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from config.child import Child
from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import ROOT, Voiceworks
from tests.standing_in import LECTURES, SLUG, Site, files_of, ocw_pages, standing_in, zipped

ARCHIVE = f"/courses/{SLUG}/6.001-spring-2005.zip"


@pytest.fixture
def site() -> Iterator[Site]:
    """MIT's server."""
    with standing_in() as running:
        running.pages |= ocw_pages()
        yield running


@pytest.fixture
def worker(bare: Voiceworks, site: Site) -> Iterator[Callable[[], Child]]:
    """Starts the worker that imports, which reaches that server."""
    started: list[Child] = []

    def start() -> Child:
        outside = {"MIT_OCW_URL": site.url, "IMPORT_ALLOW_PRIVATE": "1", "IMPORT_PAUSE_SECONDS": "0"}
        child = Child(
            name="io",
            argv=[
                *(sys.executable, "-m", "celery", "--app=tasks.worker", "worker", "--pool=solo"),
                *("--hostname=io@%h", "--queues=imports", "--without-gossip", "--without-mingle"),
            ],
            log_path=bare.var_dir / "log" / f"io-{len(started)}.log",
            env={**bare.environment, **outside},
            cwd=ROOT,
        )
        child.start()
        started.append(child)
        eventually(lambda: bare.rows("select 1 from workers where pid = :pid", pid=child.pid), within_seconds=30)
        return child

    yield start
    for child in started:
        child.stop()


@pytest.mark.slow
def test_a_worker_that_is_killed_over_a_download_is_followed_by_one_that_finishes_it(
    bare: Voiceworks, worker: Callable[[], Child], site: Site
) -> None:
    held = threading.Event()
    site.pages[ARCHIVE].gate = lambda: (held.wait(60), None)[1]
    doomed = worker()
    answer = bare.api("POST", "/api/imports", json={"source": "mit_ocw", "course_id": "6.001"})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["id"]
    eventually(lambda: ARCHIVE in site.paths(), within_seconds=20)
    assert doomed.pid is not None
    os.kill(doomed.pid, signal.SIGKILL)
    eventually(doomed.poll)
    held.set()
    assert bare.api("GET", f"/api/imports/{job_id}").json()["status"] == "processing"
    worker()
    assert bare.until_ended(job_id) == "succeeded"
    shown = bare.api("GET", f"/api/imports/{job_id}").json()
    course = bare.api("GET", f"/api/curriculum/{shown['curriculum_id']}").json()
    texts = [part["text"] for topic in course["content"] for part in topic["segments"]]
    assert texts == [text for _, text in LECTURES.values()]
    assert bare.value("select count(*) from curricula where extra ? 'imported_from'") == 1
    assert not (bare.var_dir / "imports" / job_id).exists()
    truth.check_nothing_hangs(bare)


@pytest.mark.slow
def test_an_archive_of_fifty_megabytes_is_imported_in_little_memory(
    bare: Voiceworks, worker: Callable[[], Child], measured: Callable[..., None]
) -> None:
    chance = random.Random(1)
    words = "the of a procedure process program value list pair function number course student learns how with".split()

    def paragraph() -> str:
        return " ".join(" ".join(chance.choices(words, k=14)).capitalize() + "." for _ in range(5))

    lectures = {
        f"lecture-{number}": (f"Lecture {number}", "</p><p>".join(paragraph() for _ in range(30)))
        for number in range(100)
    }
    images = {f"static_resources/{number}.jpg": chance.randbytes(600_000) for number in range(82)}
    archive = zipped(files_of(lectures) | images)
    assert len(archive) > 49_000_000
    child = worker()
    process, most = psutil.Process(child.pid), [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], process.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    began = time.monotonic()
    form = {"source": (None, "file"), "file": ("course.zip", archive, "application/zip")}
    answer = bare.api("POST", "/api/imports", files=form)
    assert answer.status_code == 202, answer.text
    measured("it was sent in", time.monotonic() - began)
    began = time.monotonic()
    assert bare.until_ended(answer.json()["id"], within_seconds=100) == "succeeded"
    done.set()
    measured("it was imported in", time.monotonic() - began)
    assert most[0] < 300e6, f"{most[0]} bytes"
