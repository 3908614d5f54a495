"""Cleaning up in the whole product: by itself at its start, by cron's command, and through a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.journeys.product import HOST, LIVE, ROOT, Voiceworks

pytestmark = pytest.mark.slow


OLD_SECONDS = 2 * 86400.0


def plant(product: Voiceworks, count: int) -> list[Path]:
    """So many temporary files of two days ago."""
    folder, then = product.var_dir / "tmp", time.time() - OLD_SECONDS
    folder.mkdir(exist_ok=True)
    paths = [folder / f"left {number}" for number in range(count)]
    for path in paths:
        path.write_bytes(b"12345")
        os.utime(path, (then, then))
    return paths


def status(product: Voiceworks) -> dict[str, Any]:
    found: dict[str, Any] = product.api("GET", "/api/v1/cleanup/status").json()
    return found


def test_a_start_cleans_up_and_the_clock_is_seen_to_go(product: Voiceworks) -> None:
    oldest = eventually(lambda: status(product)["recent_cleanups"])[-1]
    assert (oldest["status"], oldest["target"], oldest["errors"]) == ("completed", "all", [])
    scheduler = eventually(lambda: (found := status(product)["scheduler"])["running"] and found)
    assert scheduler["last_cleanup_time"] < scheduler["next_cleanup_time"]


def test_the_command_of_cron_cleans_up_while_everything_runs(product: Voiceworks) -> None:
    paths = plant(product, 50)
    product.speak("Still here.")
    argv = [sys.executable, "-m", "app", "cleanup", "--target", "all", "--max-age-hours", "24"]
    ran = subprocess.run(
        argv, cwd=ROOT, env=os.environ | product.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["sweeps"]["temporary_files"] == {"files": 50, "bytes": 250, "rows": 0}
    assert not any(path.exists() for path in paths)
    assert product.speak("Still here.").headers["X-TTS-Cache-Status"] == "hit"


def test_a_cleanup_whose_worker_is_killed_goes_on_and_speech_goes_on_beside_it(product: Voiceworks) -> None:
    paths = plant(product, 20_000)
    asked: list[Any] = []
    asking = threading.Thread(target=lambda: asked.append(product.api("POST", "/api/v1/cleanup", json={}, timeout=30)))
    asking.start()
    eventually(lambda: not paths[-1].exists() or not paths[0].exists())
    former = product.kill("worker_io")
    for number in range(5):
        assert product.speak(f"Beside it, number {number}.").status_code == 200
    product.until_replaced("worker_io", former)
    asking.join()
    assert asked[0].status_code in (200, 202)
    assert product.until_ended(asked[0].json()["job_id"]) == "succeeded"
    assert not any(path.exists() for path in paths)
    assert product.value("select attempts from jobs where id = :job", job=asked[0].json()["job_id"]) == 2


def test_resources_know_what_the_workers_use(product: Voiceworks) -> None:
    found = product.api("GET", "/api/v1/resources").json()
    assert f"{LIVE}@{HOST}" in {model["node"] for model in found["models"] if model["engine"] == "hibari"}
    eventually(lambda: product.value("select min(cpu_percent) from workers where not draining") is not None)
    assert found["memory"]["models_mb"] > 50
