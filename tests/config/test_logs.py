"""What a log line holds: the request that caused it, whatever was passed beside it, and never a credential."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config import logs
from config.logs import JsonFormatter, without_credentials

ROOT = Path(__file__).parents[2]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2ln-bmF0_dXJl"


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """Lines belong to no request: a test of another file may have made one."""
    with logs.belonging(request=None, job=None):
        yield


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


def test_a_line_names_its_job_and_no_field_stands_in_for_it(logger: Any) -> None:
    log, written = logger
    with logs.belonging(request="req_1", job="job_1"):
        with logs.belonging(request="req_2", job="job_2"):
            pass
        log.warning("Here.", extra={"job_id": "forged", "level": "forged"})
    line = written()
    assert (line["request_id"], line["job_id"], line["level"]) == ("req_1", "job_1", "WARNING")
    assert (line["job_id_"], line["level_"]) == ("forged", "forged")
    assert (logs.request_id.get(), logs.job_id.get()) == (None, None)


# What ends a line for some reader, what a terminal obeys, what turns text around, what cannot be written.
UNSEEN = [
    "\n",
    "\r",
    "\x1b[2K",
    "\x85",
    "\x9b31m",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\x7f",
    "\ud800",
    "\0",
]


@pytest.mark.parametrize("odd", UNSEEN)
def test_nothing_in_a_message_makes_one_line_look_like_two(logger: Any, odd: str) -> None:
    log, written = logger
    log.warning("asked for %s", f'a{odd}{{"level": "INFO", "message": "forged"}}', extra={"path": f"/a{odd}b"})
    text = log.handlers[0].stream.getvalue()
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable()
    # Nothing is lost: who reads JSON has it back.
    assert written()["path"] == f"/a{odd}b"


def pretty(level: int = logging.WARNING, *, colour: bool = False, **passed: Any) -> str:
    """A line for people."""
    record = logging.getLogger("tests.logs").makeRecord("tests.logs", level, "", 0, "Here %s.", ("now",), None)
    vars(record).update(passed)
    return logs.PrettyFormatter(colour=colour).format(record)


def test_a_line_for_people_says_what_and_whose() -> None:
    with logs.belonging(request="req_1", job="job_1"):
        line = pretty(path="/ws?token=abc")
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} WARNING  tests\.logs: Here now\. request=req_1 job=job_1 path=/ws\?token=…", line
    )
    assert "request" not in pretty()


@pytest.mark.parametrize("odd", UNSEEN)
def test_nothing_in_a_message_forges_a_line_for_people(odd: str) -> None:
    line = pretty(msg=f"asked for{odd}12:00:00.000 INFO     app: forged", args=(), path=f"/a{odd}b")
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_a_traceback_for_people_is_indented_below_its_line() -> None:
    try:
        raise ValueError("refused\n12:00:00.000 INFO     app: forged \x1b[31m")
    except ValueError:
        lines = pretty(exc_info=sys.exc_info()).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("    | ") and line.isprintable() for line in lines[1:])


def test_only_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[33m" in pretty(colour=True)
    assert "\x1b" not in pretty()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    plain = logs.formatter("pretty")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    coloured = logs.formatter("pretty")
    monkeypatch.setenv("NO_COLOR", "1")
    refused = logs.formatter("pretty")
    record = logging.makeLogRecord({"levelname": "ERROR"})
    assert [("\x1b" in each.format(record)) for each in (plain, coloured, refused)] == [False, True, False]


WRITES_PAST = """
import logging, threading, warnings
from config import logs
logs.configure("INFO")
logging.getLogger("first").info("one\\ntwo")
warnings.warn("a library\\nwarns")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


def test_warnings_and_what_ends_a_thread_or_a_process_are_lines_too() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WRITES_PAST], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert [(line["logger"], line["level"]) for line in lines] == [
        *(("first", "INFO"), ("py.warnings", "WARNING"), ("process", "ERROR"), ("process", "CRITICAL")),
    ]
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "ValueError: the end" in lines[3]["exception"]


def test_of_requests_that_are_none_one_line_a_second_is_written() -> None:
    sparing, written = logs.Malformed(), []
    invalid = [
        f"Invalid request from ip=203.0.113.{number}: Invalid HTTP request line: 'X: %s'" for number in range(50)
    ]
    for said in [*invalid, "Something else."]:
        record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, said, None, None)
        if sparing.filter(record):
            written.append(record.getMessage())
    assert written == ["Invalid request: Invalid HTTP request line: 'X: %s'", "Something else."]
