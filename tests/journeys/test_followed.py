"""One failed request, followed by its id alone: through the lines of web and workers to the job and the error's record.

And what those lines are: of everything that our programs write, each line is one JSON object.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.conftest import eventually
from tests.journeys.product import PROGRAMS, SPEAKERS, Voiceworks

pytestmark = pytest.mark.slow


REQUEST = "req_followed_by_a_journey"
# The servers are not ours, know of no request, and say what they say in their own words.
SERVERS = {"postgres", "queue", "stream"}
FIELDS = {"timestamp", "level", "logger", "message", "request_id", "job_id"}


def lines(product: Voiceworks) -> dict[str, list[dict[str, Any]]]:
    """What each program has logged."""
    logs = (path for path in (product.var_dir / "log").glob("*.log") if path.stem not in SERVERS)
    return {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in logs}


def broken_book() -> bytes:
    """An EPUB by its first bytes, without anything else that an EPUB has."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", "<nothing")
    return held.getvalue()


def test_a_failed_request_is_followed_from_its_id_to_the_job(product: Voiceworks) -> None:
    answer = product.api(
        "POST",
        "/api/imports",
        headers={"X-Request-ID": REQUEST},
        data={"source": "file"},
        files={"file": ("broken.epub", broken_book())},
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Request-ID"] == REQUEST
    assert product.until_ended(answer.json()["id"]) == "failed"

    # All that somebody has who was told of a failure is the request's id.
    said = {
        name: of_request
        for name, written in lines(product).items()
        if (of_request := [line for line in written if line["request_id"] == REQUEST])
    }
    assert set(said) == {"web", "worker_imports"}
    assert [line["message"] for line in said["web"]] == ["imports.run was submitted to lane imports"]
    failed = said["worker_imports"][-1]
    job_id = failed["job_id"]
    assert failed["level"] == "WARNING"
    assert failed["message"].startswith(f"imports.run {job_id} failed: ")
    assert {line["job_id"] for written in said.values() for line in written} == {job_id}

    job = product.api("GET", f"/api/jobs/{job_id}").json()
    assert (job["state"], job["request_id"]) == ("failed", REQUEST)
    assert job["error"]["message"] in failed["message"]

    recorded = product.api("GET", "/api/v1/errors/recent", params={"request_id": REQUEST}).json()["errors"]
    assert [(error["endpoint"], error["job_id"]) for error in recorded] == [("imports.run", job_id)]
    assert recorded[0]["error_code"] == job["error"]["code"].upper()


def test_what_a_worker_logs_reaches_those_who_watch_with_its_request_and_its_job(product: Voiceworks) -> None:
    with product.socket("/ws") as watching:
        watching.until("connected")
        form = {"files": {"file": ("broken.epub", broken_book())}, "data": {"source": "file"}}
        made = product.api("POST", "/api/imports", headers={"X-Request-ID": "req_watched"}, **form).json()["id"]
        # Others may have failed a moment ago.
        line = watching.until(
            "log_entry",
            lambda data: "failed: " in data["message"] and data["request_id"] == "req_watched",
            within_seconds=30,
        )
    assert line["level"] == "WARNING"
    assert line["job_id"] in (made, made.removeprefix("import_"))


def test_every_line_of_every_program_is_one_json_object(product: Voiceworks) -> None:
    # A line of a client's making, in a name that is logged.
    forged = '\n{"level": "ERROR", "message": "forged"}\n\x1b[2Kforged'
    product.api("POST", "/api/auth/login", json={"username": forged, "password": forged})
    product.speak("Something to do for a worker.")
    # Those that come last have begun.
    eventually(product.settled, within_seconds=60)
    found = lines(product)
    assert {*PROGRAMS, *SPEAKERS} - SERVERS <= set(found)
    for name, written in found.items():
        assert all(set(line) >= FIELDS for line in written), name
        assert not any(line["message"] == "forged" for line in written)
    # And there are some: a program that says nothing proves nothing.
    assert {"web", "fleet", "worker_io", "worker_imports", "worker_upkeep", *SPEAKERS} <= {
        name for name, written in found.items() if written
    }
