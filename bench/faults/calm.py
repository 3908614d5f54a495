"""After the last fault: what was broken is whole again, what was asked for ends, and what is old is cleaned up."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.exc import DBAPIError

from bench.faults import clock
from bench.faults.load import Load
from bench.faults.place import Place

# Leases last 90 s, and what was lost with one is tried again.
ENDED_SECONDS = 300.0
SETTLED_SECONDS = 180.0
TOLD_SECONDS = 150.0
OLD_SECONDS = 2 * 3600.0
_OPEN = "select count(*) from jobs where state in ('queued', 'running', 'paused')"


def until(look: Callable[[], Any], within_seconds: float) -> bool:
    """Whether it came true in time; asked now and then."""
    ends = time.monotonic() + within_seconds
    while time.monotonic() < ends:
        try:
            if look():
                return True
        except (DBAPIError, requests.RequestException):
            pass
        time.sleep(0.5)
    return False


def settle(place: Place) -> list[str]:
    """What is not up again in time; nothing where all is."""
    if not until(place.settled, SETTLED_SECONDS):
        return ["not all of it is up again"]
    if place.other is not None and not until(place.other.speakers, SETTLED_SECONDS):
        return ["the other host's workers are not up again"]
    return []


def end(place: Place) -> int:
    """How many jobs are still open when all should have ended.

    What is to be tried again later is tried now: the clock jumps to when the last of it is due.
    """
    ends = time.monotonic() + ENDED_SECONDS
    while time.monotonic() < ends:
        if until(lambda: not place.value(_OPEN), 45):
            return 0
        due = "select extract(epoch from max(run_after) - now()) from {} where state = 'queued' and run_after > now()"
        waits = [place.value(due.format(table)) or 0 for table in ("jobs", "job_items")]
        if max(waits) > 20:
            clock.jump(place, float(max(waits)))
    return int(place.value(_OPEN))


def tell(place: Place) -> int:
    """How many deliveries are still on their way."""
    pending = "select count(*) from webhook_deliveries where state = 'pending'"
    until(lambda: not place.value(pending), TOLD_SECONDS)
    return int(place.value(pending))


def listen_again(load: Load, count: int = 25) -> None:
    """Some of what was heard is asked for again, and sounds the same."""
    for words, form in sorted(load.memory.heard)[:: max(1, len(load.memory.heard) // count)]:
        if form == "wav":
            answer = load.ask("POST", "/api/tts", json={"text": words})
        else:
            body = {"model": "tts-1", "input": words, "voice": "nova", "response_format": form}
            answer = load.ask("POST", "/v1/audio/speech", json=body)
        if answer is None or answer.status_code != 200:
            load.memory.fault(f"asked again in calm, it is answered {answer and answer.text[:200]}")
        else:
            load.memory.hear(words, form, answer.content)


def ask_again(place: Place, load: Load) -> tuple[dict[str, int], list[str]]:
    """How many jobs had failed, by reason, and those that fail again though nothing is broken now."""
    rows = place.rows(
        "select * from jobs where parent_id is null and not live and (state = 'failed' or items_failed > 0)"
    )
    reasons = Counter(f"{row.kind}: {row.error_code or 'some items'}" for row in rows)
    refused = []
    # Whoever got no promise has asked for another since: both would be done.
    promised = {promise.job_id for promise in load.memory.promised}
    rows = [row for row in rows if row.id in promised]
    for row in rows:
        answer = load.ask("POST", f"/api/jobs/{row.id}/retry")
        if answer is None or answer.status_code != 200:
            refused.append(f"{row.id} cannot be asked for again: {answer and answer.text[:200]}")
    end(place)
    query = "select state, items_failed, error_code, error_message from jobs where id = :job"
    for row in rows:
        now = place.rows(query, job=row.id)[0]
        if now.state != "succeeded" or now.items_failed:
            refused.append(f"{row.kind} {row.id} is {now.state} again: {now.error_code} {now.error_message}")
    return dict(reasons), refused


def clean(place: Place, load: Load) -> list[str]:
    """Two hours later everything that is old is cleaned up; what went wrong with that."""
    clock.jump(place, OLD_SECONDS)
    until(place.settled, SETTLED_SECONDS)
    wrong = []
    for body in ({"target": "temp", "max_age_hours": 1}, {"target": "old_files"}):
        answer = load.ask("POST", "/api/v1/cleanup", json=body)
        if answer is None or answer.status_code not in (200, 202):
            wrong.append(f"a cleanup was answered {answer and answer.text[:200]}")
            continue
        end(place)
        job = place.rows("select * from jobs where kind = 'upkeep.cleanup' order by created_at desc limit 1")[0]
        if job.state != "succeeded" or job.result["error_count"]:
            wrong.append(f"a cleanup is {job.state} with {job.result['errors']}")
    return wrong


def errors_logged(logs: Path) -> dict[str, int]:
    """What its programs logged as errors, counted: for whoever looks for a cause."""
    found: Counter[str] = Counter()
    for path in logs.glob("*.log*"):
        for line in path.read_text(errors="replace").splitlines():
            if '"level": "ERROR"' not in line and '"level": "CRITICAL"' not in line:
                continue
            try:
                said = json.loads(line)
            except ValueError:
                found[f"{path.stem}: half a line"] += 1
                continue
            cause = str(said.get("exception") or said.get("traceback") or said.get("exc_info") or "").strip()
            last = cause.splitlines()[-1][:160] if cause else ""
            found[f"{path.stem}: {str(said['message'])[:80]} {last}".strip()] += 1
    return dict(found.most_common(60))
