"""``jobs``: list, show, steer and watch them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from rich.console import Console
from sqlalchemy.orm import Session

from app.api.jobs import detailed
from app.cli import FAILED, OK, USAGE, progress, reach
from app.cli.output import Failed, counted, duration, moment, on_terminal, show_columns, show_json, show_pairs
from models.jobs import lifecycle, queries
from models.jobs.shape import shown
from models.jobs.tables import FAILED as JOB_FAILED
from models.jobs.tables import STATES, SUCCEEDED, Job
from tasks import kinds, submit

# Enough to see what went wrong; `--json` of the API's list has them all.
_FAILED_ITEMS_SHOWN = 5


def show_all(arguments: Namespace) -> int:
    """Lists the newest jobs."""
    if arguments.state and arguments.state not in STATES:
        raise Failed(f"There is no state {arguments.state!r}; there are {', '.join(STATES)}.", status=USAGE)
    if arguments.kind and arguments.kind not in kinds.KINDS:
        raise Failed(f"There is no kind {arguments.kind!r}; there are {', '.join(sorted(kinds.KINDS))}.", status=USAGE)
    with reach.database() as database, database.transaction(durable=False) as session:
        found = queries.page(session, kind=arguments.kind, state=arguments.state, limit=arguments.limit)
    if arguments.json:
        show_json({"jobs": [shown(job) for job in found]})
        return OK
    rows = [(job.id, job.kind, job.state, f"{job.progress:.0%}", moment(job.created_at)) for job in found]
    show_columns(("ID", "KIND", "STATE", "DONE", "CREATED"), rows, nothing="There are no such jobs.")
    return OK


def show(arguments: Namespace) -> int:
    """Shows one job."""
    with reach.database() as database, database.transaction(durable=False) as session:
        job = queries.get(session, arguments.id)
        told = detailed(session, job) | {"result": job.result}
        failed = queries.items(session, job.id, state=JOB_FAILED, after=-1, limit=_FAILED_ITEMS_SHOWN)
    if arguments.json:
        show_json(told)
        return OK
    _show(told)
    for item in failed:
        print(f"  item {item.position}: {item.error_message}")
    if job.items_failed > len(failed):
        print(f"  … and {counted(job.items_failed - len(failed), 'more failed item')}")
    return OK


def cancel(arguments: Namespace) -> int:
    """Cancels a job."""
    return _steer(arguments, lambda session, job: lifecycle.cancel(session, job.id))


def pause(arguments: Namespace) -> int:
    """Pauses a job."""
    return _steer(arguments, lambda session, job: lifecycle.pause(session, job.id))


def resume(arguments: Namespace) -> int:
    """Goes on with a paused job."""
    return _steer(arguments, lambda session, job: submit.resume(session, job.id, lane=job.lane))


def retry(arguments: Namespace) -> int:
    """Queues a failed job, or what failed of it, again."""
    return _steer(arguments, lambda session, job: submit.retry(session, job.id, lane=job.lane))


def watch(arguments: Namespace) -> int:
    """Follows a job until it has ended."""
    with reach.database() as database:
        if not on_terminal():
            for job, _ in progress.follow(database, arguments.id):
                items = f" {job.items_succeeded + job.items_failed}/{job.items_total}" if job.items_total else ""
                print(f"{job.state} {job.progress:.4f}{items}", flush=True)
        # Already ended where its lines were printed: then this is the sentence alone.
        job, sentence = progress.show(database, arguments.id, Console(), arguments.id)
    if job.state != SUCCEEDED:
        raise Failed(sentence, status=FAILED)
    print(sentence)
    return OK


def _steer(arguments: Namespace, change: Callable[[Session, Job], Job]) -> int:
    # The whole application: a commit rings workers and tells watchers.
    with reach.application() as here, here.database.transaction() as session:
        told = detailed(session, change(session, queries.get(session, arguments.id)))
    if arguments.json:
        show_json(told)
    else:
        _show(told)
    return OK


def _show(told: dict[str, Any]) -> None:
    items, error, eta = told["items"], told["error"], told["eta_seconds"]
    done = f"{items['succeeded']} of {items['total']}" + (f", {items['failed']} failed" if items["failed"] else "")
    pairs = [
        ("id", told["id"]),
        ("kind", told["kind"]),
        ("state", told["state"] + (f" ({told['phase']})" if told["phase"] else "")),
        ("progress", f"{told['progress']:.0%}" + (f", {duration(eta)} to go" if eta else "")),
        ("items", done if items["total"] else None),
        ("in front of it", told["queue_position"]),
        ("attempts", told["attempts"] or None),
        ("lane", told["lane"]),
        ("spoken by", (told["resolution"] or {}).get("engine")),
        ("error", f"{error['message']} ({error['code']})" if error else None),
        ("created", told["created_at"]),
        ("started", told["started_at"]),
        ("finished", told["finished_at"]),
        ("request", told["request_id"]),
    ]
    show_pairs(pairs)
