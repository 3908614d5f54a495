"""administration.md: resources and cleaning up, and what decisions.md adds to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from config.settings import Settings
from models import cleanups, clock
from models.db import Database
from tests import making
from tests.conftest import API_KEY
from tests.contract.administration_headings import ADMINISTRATION, documented, request
from tests.contract.conftest import ADMINISTRATION_URL, Reach, assert_refused
from tests.contract.document import Document, assert_shaped, parse, quoted
from tests.web import serving

RESOURCES, CLEAN, STATUS = "GET `/api/v1/resources`", "POST `/api/v1/cleanup`", "GET `/api/v1/cleanup/status`"
# The document shows the body of a request and its answer alike.
BODY, CLEANED = ADMINISTRATION[CLEAN].answers
TARGETS = BODY["target"].split("|")
DECISIONS = Document("decisions")
OLD_SECONDS = 3 * 86400.0


@pytest.fixture
def reach(administration: Reach) -> Reach:
    """A client of this document."""
    return administration


@pytest.fixture
def temporary(configured: Settings) -> Path:
    """A temporary file of three days ago."""
    path = configured.var_dir / "tmp" / "left"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 1000)
    then = time.time() - OLD_SECONDS
    os.utime(path, (then, then))
    return path


@documented(
    RESOURCES,
    "Available disk space",
    "Memory allocation",
    "GPU status (if applicable)",
    "Model memory usage",
    "Temporary file counts",
)
def test_resources_are_those_of_the_real_machine(
    reach: Reach, configured: Settings, worker: object, temporary: Path
) -> None:
    shown = ADMINISTRATION[RESOURCES].answer
    answer = reach(request(RESOURCES))
    assert answer.status_code == 200
    found = answer.get_json()
    assert_shaped(found, shown)
    disk = os.statvfs(configured.var_dir)
    assert found["disk"]["total_gb"] == round(disk.f_blocks * disk.f_frsize / 2**30)
    assert 0 <= found["disk"]["available_gb"] <= found["disk"]["total_gb"]
    assert found["disk"]["temp_files_count"] >= 1
    assert 0 < found["memory"]["used_mb"] < found["memory"]["total_mb"]
    # The worker of these tests has an engine, and no GPU.
    assert 50 < found["memory"]["models_mb"] < found["memory"]["total_mb"]
    assert found["gpus"] == []
    hibari = next(model for model in found["models"] if model["engine"] == "hibari")
    assert (hibari["loaded"], hibari["device"]) == (True, "cpu")
    assert hibari["memory_mb"] > 0
    assert found["limits"]["max_file_size_mb"] == configured.max_upload_mb
    assert found["limits"]["max_concurrent_requests"] == configured.live_waiting_max
    assert "Resources carry a `warnings` list" in "; ".join(DECISIONS["Administration"].bullets)
    assert all(isinstance(warning, str) for warning in found["warnings"])


@documented(CLEAN)
def test_a_cleanup_answers_what_it_removed(reach: Reach, worker: object, temporary: Path) -> None:
    body = BODY | {"target": "temp"}
    foreseen = reach(request(CLEAN), body=body | {"dry_run": True})
    assert foreseen.status_code == 200
    assert_shaped(foreseen.get_json(), CLEANED)
    assert temporary.exists()
    answer = reach(request(CLEAN), body=body)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), CLEANED)
    found = answer.get_json()
    assert found["status"] == CLEANED["status"]
    assert found["errors"] == CLEANED["errors"]
    assert (found["files_removed"], found["bytes_freed"]) == (1, 1000)
    assert (foreseen.get_json()["files_removed"], foreseen.get_json()["bytes_freed"]) == (1, 1000)
    assert not temporary.exists()


@documented(CLEAN)
@pytest.mark.parametrize("target", TARGETS)
def test_every_documented_target_is_taken(reach: Reach, worker: object, target: str) -> None:
    answer = reach.send(request(CLEAN), body={"target": target}, headers=reach.credential)
    assert (answer.status_code, answer.get_json()["target"]) == (200, target)
    assert set(TARGETS) == set(cleanups.TARGETS)


def test_every_field_may_be_left_out(reach: Reach, worker: object) -> None:
    found = reach.send(request(CLEAN), body={}, headers=reach.credential).get_json()
    assert (found["status"], found["target"], found["dry_run"]) == ("completed", "all", False)


@pytest.mark.parametrize(
    ("status", "names", "sent"),
    [
        (400, "target", {}),
        (400, "target", {"content_type": "application/json"}),
        (400, "'dry_run', 'x'", {"json": {}, "query_string": {"dry_run": "true", "x": ""}}),
        (400, "'dry_run'", {"query_string": {"dry_run": "true"}}),
        (415, "form-urlencoded", {"data": {"dry_run": "true"}}),
        (415, "form-urlencoded", {"content_type": "application/x-www-form-urlencoded"}),
        (415, "text/plain", {"data": '{"dry_run": true}', "content_type": "text/plain"}),
        (415, "not given", {"data": '{"dry_run": true}'}),
    ],
    ids=str,
)
def test_what_is_not_said_in_json_is_no_cleanup_of_everything(
    reach: Reach, database: Database, status: int, names: str, sent: dict[str, Any]
) -> None:
    refused = reach.http.post("/api/v1/cleanup", base_url=reach.base_url, headers=reach.credential, **sent)
    assert_refused(refused, status, "VALIDATION_ERROR" if status == 400 else "UNSUPPORTED_MEDIA_TYPE")
    assert names in refused.get_json()["error"]
    with database.transaction() as session:
        assert cleanups.newest(session) == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"target": value} for value in ("everything", "", None, 1, ["all"], "ALL")),
        *({"max_age_hours": value} for value in (-1, -0.001, 87601, 1e308, "24", True, [24])),
        *({"dry_run": value} for value in ("yes", "true", 2, 1, 0, 1.0, None)),
        {"older_than": 3},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_naming_it(reach: Reach, database: Database, wrong: dict[str, Any]) -> None:
    refused = reach.send(request(CLEAN), body=BODY | {"target": "all"} | wrong, headers=reach.credential)
    assert_refused(refused, 400, "VALIDATION_ERROR")
    assert next(iter(wrong)) in refused.get_json()["error"]
    with database.transaction() as session:
        assert cleanups.newest(session) == []


@documented(STATUS)
def test_the_status_tells_of_the_clock_and_of_the_last_cleanups(
    reach: Reach, configured: Settings, worker: object, queue: redis.Redis, temporary: Path
) -> None:
    shown = ADMINISTRATION[STATUS].answer
    before = reach(request(STATUS)).get_json()
    assert before["scheduler"]["running"] is False
    assert (before["scheduler"]["last_cleanup_time"], before["recent_cleanups"]) == (None, [])
    done = reach.send(request(CLEAN), body={}, headers=reach.credential).get_json()
    clock.rang(queue)
    answer = reach(request(STATUS))
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown)
    scheduler, (entry,) = answer.get_json()["scheduler"], answer.get_json()["recent_cleanups"]
    assert scheduler["running"] is True
    assert scheduler["cleanup_interval_hours"] == configured.cleanup_interval_hours
    assert configured.cleanup_interval_hours == shown["scheduler"]["cleanup_interval_hours"]
    assert scheduler["cleanup_on_startup"] is shown["scheduler"]["cleanup_on_startup"] is True
    assert entry["timestamp"] == scheduler["last_cleanup_time"]
    assert entry["timestamp"].endswith("Z")
    last, coming = (datetime.fromisoformat(scheduler[f"{which}_cleanup_time"]) for which in ("last", "next"))
    assert coming - last == timedelta(hours=configured.cleanup_interval_hours)
    assert {name: entry[name] for name in CLEANED} == {name: done[name] for name in CLEANED}


@documented("Automated Cleanup")
def test_the_document_s_script_works_as_it_stands(
    configured: Settings, clean: None, worker: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = ADMINISTRATION["Automated Cleanup"].code
    with serving(tmp_path / "web.log", OPEN_SURFACES="administration") as open_web:
        names: dict[str, Any] = {}
        exec("import requests\n" + example.replace(ADMINISTRATION_URL, open_web.url("")), names)
        names["scheduled_cleanup"]()
    assert re.fullmatch(r"Cleaned \d+ files, freed \d+ bytes\n", capsys.readouterr().out)


@documented("Rate Limiting", "Cleanup endpoints: Lower frequency")
def test_cleanups_may_be_asked_for_seldom(
    application: Callable[..., FlaskClient], configured: Settings, worker: object
) -> None:
    (often,) = re.findall(r"cleanup (\d+)", DECISIONS.sentence("Management: 100 a minute"))
    assert configured.rate_limit_by_name["cleanup"] == int(often)
    redis.Redis.from_url(configured.stream_redis_url).flushdb()
    http = application(rate_limits=True, rate_limit_by_name={"cleanup": 2, "administration": 100})
    answers = [http.post("/api/v1/cleanup", json={"dry_run": True}, headers={"X-API-Key": API_KEY}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert http.get("/api/v1/cleanup/status", headers={"X-API-Key": API_KEY}).status_code == 200


# --- decisions.md -------------------------------------------------------------------------------------------------


def test_one_that_takes_long_is_answered_202_with_the_fields_so_far(
    reach: Reach, worker: object, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Cleanup: 200 when finished within 10 s, else 202 with `job_id`" in DECISIONS.sentence("Creates: 201")
    monkeypatch.setattr("app.api.cleanup.WAIT_SECONDS", 0.0)
    monkeypatch.setattr("tasks.submit.ring", lambda *_: None)
    answer = reach(request(CLEAN), body=BODY | {"target": "temp"})
    assert answer.status_code == 202
    found = answer.get_json()
    assert_shaped(found, CLEANED)
    assert found["status"] in ("queued", "running", "completed")
    job = reach.send(request(f"GET `/api/jobs/{found['job_id']}`"), headers=reach.credential or {"X-API-Key": API_KEY})
    assert job.get_json()["kind"] == cleanups.KIND


def test_where_nobody_could_do_it_it_is_refused_at_once(
    application: Callable[..., FlaskClient], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.workers.able", lambda session, lane: 0)
    answer = application().post("/api/v1/cleanup", json={}, headers={"X-API-Key": API_KEY})
    assert answer.status_code == 503
    assert "io" in answer.get_json()["error"]
    assert int(answer.headers["Retry-After"]) > 0


def test_the_command_that_cron_calls_is_the_promised_one(
    configured: Settings, clean: None, worker: object, temporary: Path
) -> None:
    (promised,) = [each for each in DECISIONS["Administration"].bullets if each.startswith("`python -m app cleanup")]
    command = quoted(promised)[0]
    assert command == "python -m app cleanup --target all|outputs|temp|old_files --max-age-hours N [--dry-run]"
    assert "exit 0 done, 1 failed, 2 usage" in promised

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "app", "cleanup", *arguments]
        return subprocess.run(argv, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)

    dry = call("--target", "temp", "--max-age-hours", "24", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert parse(dry.stdout)["files_removed"] == 1
    assert temporary.exists()
    real = call("--target", "temp", "--max-age-hours", "24")
    assert (real.returncode, parse(real.stdout)["bytes_freed"]) == (0, 1000)
    assert not temporary.exists()
    for wrong in (["--target", "x"], ["--max-age-hours", "-1"], ["--max-age-hours", "soon"], ["--wet"]):
        refused = call(*wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr


def test_a_failed_cleanup_is_told_as_failed(reach: Reach, database: Database) -> None:
    params = cleanups.params("all", None, dry_run=False)
    making.fail(database, making.claim(database, making.submit(database, kind=cleanups.KIND, params=params)))
    (entry,) = reach(request(STATUS)).get_json()["recent_cleanups"]
    assert (entry["status"], entry["errors"]) == ("failed", ["It was broken."])
    assert_shaped(entry, ADMINISTRATION[STATUS].answer["recent_cleanups"][0])
