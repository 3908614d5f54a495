"""What a log line holds: the request that caused it, whatever was passed beside it, and never a credential."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from config import logs
from config.logs import JsonFormatter, without_credentials

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2ln-bmF0_dXJl"


@pytest.fixture
def logger() -> Any:
    """A logger of its own, and what it wrote."""
    made = logging.getLogger("tests.logs")
    made.propagate = False
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    made.handlers[:] = [handler]
    yield made, lambda: json.loads(stream.getvalue())
    made.handlers.clear()
    made.propagate = True


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("GET /ws?token=a.b-c&limit=1 from ::1", "GET /ws?token=…&limit=1 from ::1"),
        ("GET /ws?ticket=abc", "GET /ws?ticket=…"),
        ("/files?a=1&key=x%20y&b=2", "/files?a=1&key=…&b=2"),
        ("https://plex.example/?api_key=abc", "https://plex.example/?api_key=…"),
        ("https://sonarr.example/?apikey=abc", "https://sonarr.example/?apikey=…"),
        ("host=db user=me password=hunter2 port=1", "host=db user=me password=… port=1"),
        ("refresh_token=abc&access_token=def", "refresh_token=…&access_token=…"),
        ("/login?next=%2Fws%3Ftoken%3Dabc%26a%3D1", "/login?next=%2Fws%3Ftoken%3D…%26a%3D1"),
        ("/WS?TOKEN=abc", "/WS?TOKEN=…"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer …"),
        ("authorization: Basic YTpi", "authorization: Basic …"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': 'Bearer …'}"),
        ("[(b'authorization', b'Bearer abc')]", "[(b'authorization', b'Bearer …')]"),
        ("sent Bearer abc twice", "sent Bearer … twice"),
        ("X-API-Key: abc", "X-API-Key: …"),
        ("the key vw_Abcdefgh-ijk_l is new", "the key vw_… is new"),
        (f"a token {JWT} of somebody", "a token … of somebody"),
        ("redis://:secret@host:6379/0", "redis://:…@host:6379/0"),
        ("postgresql://me:p%40ss@host/db", "postgresql://me:…@host/db"),
        ('{"password": "a\\"b", "username": "me"}', '{"password": …, "username": "me"}'),
        ("{'api_key': 'abc', 'n': 1}", "{'api_key': …, 'n': 1}"),
    ],
)
def test_a_credential_is_taken_out_and_the_rest_is_kept(line: str, shown: str) -> None:
    assert without_credentials(line) == shown


@pytest.mark.parametrize(
    "line",
    [
        "Job job_1 took 0.5 s; request req_1.",
        "dedupe_key=abc clip_key=def monkey=3",
        "The token is missing.",
        "http://127.0.0.1:8766/api/curriculum?limit=5",
        "12:30:45 //x:y",
        "tests in /tmp/vw-test-abcdefgh",
    ],
)
def test_what_is_no_credential_is_kept(line: str) -> None:
    assert without_credentials(line) == line


def test_no_field_of_a_line_shows_a_credential(logger: Any) -> None:
    log, written = logger
    try:
        raise ValueError(f"refused: {JWT}")
    except ValueError:
        log.exception(
            "GET %s",
            "/ws?token=abc",
            extra={"path": "/ws?ticket=abc", "api_key": "abc", "headers": {"X-API-Key": "abc"}, "count": 3},
        )
    line = written()
    assert line["message"] == "GET /ws?token=…"
    assert line["path"] == "/ws?ticket=…"
    assert line["api_key"] == "…"
    assert line["count"] == 3
    assert "ValueError: refused: …" in line["exception"]
    assert "abc" not in json.dumps(line)
    assert JWT not in json.dumps(line)


def test_a_line_names_its_request_and_its_time_in_utc(logger: Any) -> None:
    log, written = logger
    mark = logs.request_id.set("req_1")
    try:
        log.warning("Here.", extra={"kept": {"a": [1]}})
    finally:
        logs.request_id.reset(mark)
    line = written()
    assert (line["request_id"], line["level"], line["logger"], line["kept"]) == (
        *("req_1", "WARNING", "tests.logs"),
        {"a": [1]},
    )
    assert line["timestamp"].endswith("Z")


def test_lines_that_go_past_the_root_logger_are_cleared_too() -> None:
    apart = logging.getLogger("gunicorn.error")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    apart.addHandler(handler)
    try:
        logs.configure("WARNING")
        apart.warning("Error handling request /ws?token=abc")
    finally:
        root.handlers[:] = kept
        root.setLevel(level)
        apart.removeHandler(handler)
    assert json.loads(stream.getvalue())["message"] == "Error handling request /ws?token=…"
