"""The figures as they are shown: one set, two views, the same over processes and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from models.base import utc_now
from models.db import Database
from models.metrics import counting, families, reading
from models.workers import Worker
from tests import making
from tests.conftest import API_KEY, eventually
from tests.web import Web, serving

TOKEN = "scrape-scrape-scrape"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
REQUESTS = "voiceworks_http_requests_total"


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a page by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_text(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    return sum(
        amount
        for (sample, found), amount in samples(text).items()
        if sample == name and set(labels.items()) <= set(found)
    )


@pytest.fixture(scope="module", autouse=True)
def nothing_left_to_write() -> None:
    """A web process that serves other files, too, has written what it counted for them: it does so every second."""
    time.sleep(1.5)


@pytest.fixture
def flush(client: FlaskClient, queue: redis.Redis) -> Callable[[], None]:
    """Writes what was counted so far."""
    return lambda: counting.flush(queue)


def read(client: FlaskClient, admin: dict[str, str], **headers: str) -> str:
    """The page of Prometheus."""
    answer = client.get("/metrics", headers=admin | headers)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_a_request_is_counted_under_its_route_and_its_status(
    client: FlaskClient, admin: dict[str, str], flush: Callable[[], None]
) -> None:
    for path in ("/api/curriculum/none-1", "/api/curriculum/none-2", "/api/curriculum", "/nowhere/1", "/nowhere/2"):
        client.get(path, headers=admin)
    client.open("/api/curriculum", method="BREW", headers=admin)
    flush()
    text = read(client, admin)
    route = "/api/curriculum/<curriculum_id>"
    assert value(text, REQUESTS, endpoint=route, status="404", method="GET", surface="management") == 2
    assert value(text, REQUESTS, endpoint="/api/curriculum", status="200") == 1
    # What anybody can make up is no label.
    assert value(text, REQUESTS, endpoint="unknown", status="404") == 2
    assert value(text, REQUESTS, method="unknown") == 1
    assert "nowhere" not in text
    assert "BREW" not in text
    assert value(text, "voiceworks_http_request_duration_seconds_count", endpoint=route) == 2


@pytest.mark.parametrize(("accept", "parse"), [("text/plain", read_text), (OPENMETRICS, read_openmetrics)])
def test_both_formats_are_read_by_a_parser_and_every_family_says_what_it_is(
    client: FlaskClient, admin: dict[str, str], flush: Callable[[], None], accept: str, parse: Any
) -> None:
    client.get("/health")
    flush()
    answer = client.get("/metrics", headers=admin | {"Accept": accept})
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0])
    found: list[Metric] = list(parse(answer.get_data(as_text=True)))
    assert all(family.documentation and family.name.startswith("voiceworks_") for family in found)
    kinds = {family.name.removesuffix("_total"): family.type for family in found}
    assert {kinds[each.name] for each in families.COUNTERS} == {"counter"}
    assert {kinds[each.name] for each in families.HISTOGRAMS} == {"histogram"}


def test_the_buckets_of_a_histogram_grow_to_its_count(
    client: FlaskClient, admin: dict[str, str], flush: Callable[[], None]
) -> None:
    for seconds in (0.0005, 0.3, 0.3, 1000.0):
        families.JOB_RAN.observe("speech.speak", seconds=seconds)
    flush()
    text = read(client, admin)
    name = "voiceworks_job_duration_seconds"
    reached = [value(text, f"{name}_bucket", le=le) for le in ("0.05", "0.25", "0.5", "1800.0", "+Inf")]
    assert reached == [1, 1, 3, 4, 4]
    assert (value(text, f"{name}_count"), value(text, f"{name}_sum")) == (4, pytest.approx(1000.6, abs=0.002))


def test_jobs_and_lanes_are_what_the_tables_say(client: FlaskClient, admin: dict[str, str], database: Database) -> None:
    job = making.submit(database, items=3, lane="tts.background.neural", kind="speech.prefetch")
    making.change(database, job, created_at=utc_now() - timedelta(seconds=90))
    text = eventually(lambda: (page := read(client, admin)) and value(page, "voiceworks_jobs") and page)
    assert value(text, "voiceworks_jobs", kind="speech.prefetch", state="queued") == 1
    assert value(text, "voiceworks_lane_waiting_units", lane=job.lane) == 3
    shown = client.get("/api/v1/metrics", headers=admin).get_json()["queue"]
    lane = next(each for each in shown["lanes"] if each["lane"] == job.lane)
    assert (shown["waiting"], lane["waiting"]) == (3, 3)
    assert {"kind": "speech.prefetch", "state": "queued", "count": 1} in shown["jobs"]


def test_a_worker_is_shown_with_its_engines_memory_and_gpu(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    gpu = {"name": "H100", "memory_total_bytes": 80, "memory_used_bytes": 20, "utilization_percent": 35.0}
    with database.transaction() as session:
        session.merge(
            Worker(
                node="gpu0@far",
                host="far",
                pid=1,
                device="cuda:0",
                lanes=["tts.live.neural"],
                engines={"vits": "1"},
                memory_bytes=3 * 2**20,
                cpu_percent=12.5,
                gpu=gpu,
                started_at=utc_now(),
                heartbeat_at=utc_now(),
            )
        )
    try:
        text = eventually(lambda: "gpu0@far" in (page := read(client, admin)) and page)
        assert value(text, "voiceworks_worker_up", node="gpu0@far", device="cuda:0", host="far") == 1
        assert value(text, "voiceworks_worker_memory_bytes", node="gpu0@far") == 3 * 2**20
        assert value(text, "voiceworks_gpu_memory_used_bytes", gpu="H100") == 20
        assert value(text, "voiceworks_model_loaded", engine="vits", node="gpu0@far") == 1
        shown = client.get("/api/v1/metrics", headers=admin).get_json()
        worker = next(each for each in shown["workers"] if each["node"] == "gpu0@far")
        assert (worker["gpu"], worker["cpu_percent"], worker["memory_mb"]) == (gpu, 12.5, 3)
        assert {"engine": "vits", "revision": "1", "node": "gpu0@far"} in shown["models"]["loaded"]
        assert shown["models"]["tts_loaded"] is True
    finally:
        with database.transaction() as session:
            session.delete(session.get_one(Worker, "gpu0@far"))


def test_the_rates_are_those_of_the_last_minutes(
    client: FlaskClient, admin: dict[str, str], flush: Callable[[], None]
) -> None:
    for _ in range(30):
        client.get("/api/curriculum", headers=admin)
    for _ in range(10):
        client.get("/api/curriculum/none", headers=admin)
    flush()
    api = client.get("/api/v1/metrics", headers=admin).get_json()["api"]
    assert (api["total_requests"], api["error_rate_percent"]) == (40, 25.0)
    assert api["requests_per_minute"] == pytest.approx(60 * 40 / api["window_seconds"], abs=0.01)
    assert 0 < api["p50_response_time_ms"] <= api["p95_response_time_ms"] <= api["p99_response_time_ms"] < 5000


def test_the_token_opens_the_page_of_prometheus_and_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path / "web.log", METRICS_TOKEN=TOKEN) as web:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert web.get("/metrics", headers=bearer).status_code == 200
        for path in ("/api/v1/metrics", "/api/curriculum", "/api/jobs"):
            assert web.get(path, headers=bearer).status_code == 403
        for wrong in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}x"}, {"X-API-Key": "é"}):
            assert web.get("/metrics", headers=wrong).status_code == 401


def test_three_processes_and_a_restart_agree_exactly(tmp_path: Path, client: FlaskClient) -> None:
    """``client`` empties everything first."""
    admin = {"X-API-Key": API_KEY}

    def counted(web: Web, endpoint: str) -> float:
        return value(web.get("/metrics", headers=admin).text, REQUESTS, endpoint=endpoint)

    def ask(web: Web, number: int) -> str:
        # A connection of its own each time, so that all three processes have their share.
        path = "/api/curriculum" if number % 3 else f"/api/jobs/none-{number}"
        return web.get(path, headers=admin, params={"limit": 1}).headers["X-Request-ID"]

    for round_number in (1, 2):
        with serving(tmp_path / "web.log", WEB_PROCESSES="3") as web, ThreadPoolExecutor(8) as pool:
            before = counted(web, "/api/curriculum"), counted(web, "/api/jobs/<job_id>")
            assert before == ((round_number - 1) * 200, (round_number - 1) * 100)
            list(pool.map(lambda number: ask(web, number), range(300)))
            expected = round_number * 200, round_number * 100
            eventually(
                lambda: (counted(web, "/api/curriculum"), counted(web, "/api/jobs/<job_id>")) == expected  # noqa: B023
            )
            page = web.get("/metrics", headers=admin).text
            assert (
                value(page, "voiceworks_http_request_duration_seconds_count", endpoint="/api/curriculum") == expected[0]
            )


def test_a_header_hides_no_request_and_makes_no_address_a_credential(
    client: FlaskClient, admin: dict[str, str], flush: Callable[[], None]
) -> None:
    pretending = {"Upgrade": "websocket"}
    assert client.get("/api/curriculum", headers=admin | pretending).status_code == 200
    assert client.get(f"/api/curriculum?token={API_KEY}", headers=pretending).status_code == 401
    # No socket has this route.
    insisting = pretending | {"Connection": "Upgrade"}
    assert client.get("/api/curriculum", headers=admin | insisting).status_code == 405
    flush()
    text = read(client, admin)
    for status in ("200", "401"):
        assert value(text, REQUESTS, endpoint="/api/curriculum", status=status) == 1
    assert value(text, REQUESTS, endpoint="unknown", status="405") == 1


def test_what_was_not_yet_written_at_a_stop_is_written_then(
    tmp_path: Path, queue: redis.Redis, client: FlaskClient
) -> None:
    with serving(tmp_path / "web.log", WEB_PROCESSES="2") as web, requests.Session() as session:
        for _ in range(50):
            session.get(web.url("/api/auth/me"), headers={"X-API-Key": API_KEY})
    found = {
        series[3:]: number for series, number in reading.total(queue).items() if series[0] == families.REQUESTS.name
    }
    assert found["GET", "/api/auth/me", "200"] == 50
