"""administration.md: the figures of the system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from models.db import Database
from tests import making
from tests.conftest import API_KEY
from tests.contract.administration_headings import ADMINISTRATION, documented, request
from tests.contract.conftest import Reach
from tests.contract.document import assert_shaped

METRICS = "GET `/api/v1/metrics`"


@pytest.fixture
def figures(administration: Reach, queue: redis.Redis) -> Callable[[], dict[str, Any]]:
    """What the endpoint shows, after what was counted is written as a web process does once a second."""
    here = administration.http.application.extensions["voiceworks"]

    def read() -> dict[str, Any]:
        here.counters.flush(queue, here.database)
        answer = administration(request(METRICS))
        assert answer.status_code == 200
        shown: dict[str, Any] = answer.get_json()
        return shown

    return read


@documented(
    METRICS,
    "CPU and memory usage",
    "Request counts and response times",
    "Model loading status and performance",
    "Error rates and patterns",
    "Queue status and processing metrics",
)
def test_the_figures_of_the_system_are_shown(
    administration: Reach, figures: Callable[[], dict[str, Any]], database: Database
) -> None:
    making.register(database, "speaker@here", "tts.live.neural", engines={"hibari": "1"}, memory_bytes=300 * 2**20)
    making.submit(database, lane="tts.live.neural")
    before = figures()["api"]["total_requests"]
    for path, status in (("/api/curriculum", 200), ("/api/curriculum/none", 404), ("/api/curriculum", 200)):
        answer = administration.http.get(path, headers={"X-API-Key": API_KEY})
        assert answer.status_code == status
    found = figures()
    assert_shaped(found, ADMINISTRATION[METRICS].answer)
    for name in ADMINISTRATION[METRICS].answer["system"]:
        assert 0 <= found["system"][name] <= 100, name
    # Those three, and the reading before; closed, each reading is first refused.
    assert found["api"]["total_requests"] == before + 3 + (2 if administration.closed else 1)
    assert found["api"]["average_response_time_ms"] > 0
    errors = 2 if administration.closed else 1
    assert found["api"]["error_rate_percent"] == pytest.approx(100 * errors / found["api"]["total_requests"], abs=0.01)
    assert found["models"]["tts_loaded"] is True
    assert found["models"]["tts_memory_mb"] >= 300
    assert (found["models"]["vc_loaded"], found["models"]["vc_memory_mb"]) == (False, 0)
    lane = next(each for each in found["queue"]["lanes"] if each["lane"] == "tts.live.neural")
    assert (lane["waiting"], lane["workers"] >= 1) == (1, True)
