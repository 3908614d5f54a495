"""One slice of one job: claim, call the body, store what came of it. The only broad ``except`` of a worker is here."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from config.logs import belonging
from models import events, workers
from models.db import is_disconnect
from models.errors import LeaseLost
from models.events import Doorbell
from models.jobs import spreading
from models.jobs import work as units
from models.jobs.lifecycle import NewJob
from models.jobs.tables import Job, JobItem
from tasks import lapses, submit
from tasks.kinds import Kind, get
from tasks.process import Process, current
from workers.errors import RetryLater, Stopped, WorkError

log = logging.getLogger(__name__)

# What a slice takes before the next job has its turn: short enough that live work behind it does not notice.
SLICE_SECONDS = 0.2
# A job's own checkpoint is a write; more often than watchers see it would be waste.
REPORT_SECONDS = 0.25
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
# A worker that died with a batch in hand gives so many items to the others at most.
ITEMS_AT_ONCE = 8


@dataclass(frozen=True)
class Done:
    """What a body made: the result for the row, and what to write with it in the same transaction."""

    result: dict[str, Any]
    store: Callable[[Session], None] | None = None


@dataclass(frozen=True)
class Spread:
    """What a body planned: the jobs that do the work, what to write with them, and what to note of it in its params.

    Without ``children`` those that the job has go on.
    """

    children: Sequence[NewJob] | None
    notes: Mapping[str, Any] = field(default_factory=dict)
    store: Callable[[Session], None] | None = None


class Parked(Exception):
    """The unit needs what another worker is making; it is rung when that is ready, or tried again after a while."""

    def __init__(self, waits_on: str, still_needed: Callable[[Session], bool], for_seconds: float) -> None:
        super().__init__(waits_on)
        self.waits_on = waits_on
        self.still_needed = still_needed
        self.for_seconds = for_seconds


class Work:
    """What a body is given: the unit's parameters, the process it runs in, and a way to report."""

    def __init__(self, process: Process, kind: Kind, job: Job, unit: Job | JobItem) -> None:
        self.process = process
        self.kind = kind
        self.job = job
        self.unit = unit
        self.params: dict[str, Any] = unit.params
        self._reported_at = time.monotonic()

    def report(self, progress: float, phase: str) -> None:
        """Says how far the unit is, as often as the body likes.

        Raises:
            Stopped: nobody wants the result any more.
        """
        if self.process.lost(self.unit.token):
            raise Stopped
        # An item that is in work is finished and kept.
        if isinstance(self.unit, JobItem):
            return
        if self.kind.live and events.was_stopped(self.process.redis, self.job.id):
            raise Stopped
        if time.monotonic() - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = time.monotonic()
        try:
            with self.process.database.transaction(durable=False) as session:
                units.report(session, self.unit, progress=progress, phase=phase)
        except LeaseLost as lost:
            raise Stopped from lost
        except DBAPIError as fault:
            if not is_disconnect(fault):
                raise
            # The work goes on: Postgres is back before its result has to be stored, or that waits for it.
            log.warning("Progress was not stored: %s", fault.orig)


Body = Callable[[Work], Done | Spread]
_pace: dict[str, float] = {}


def run_slice(kind_name: str, job_id: str) -> None:
    """Does a slice of a job; returns at once when there is nothing to do (a doubled or late message)."""
    kind = get(kind_name)
    process = current()
    body = _resolve(kind.body)
    try:
        _run(process, kind, body, job_id)
    except DBAPIError as fault:
        if not is_disconnect(fault):
            raise
        # A claim may have been written all the same, and its answer lost. Nothing is in hand any more.
        log.warning("Postgres went away in the middle of a slice: %s", fault.orig)
        lapses.take_back(process, node=process.node)


def _run(process: Process, kind: Kind, body: Body, job_id: str) -> None:
    if kind.sliced:
        _run_items(process, kind, body, job_id)
    else:
        with process.database.transaction(durable=False) as session:
            job = units.claim_job(session, job_id, node=process.node, lease_seconds=kind.lease_seconds)
        if job is not None:
            _perform(process, kind, body, job, job)


def _run_items(process: Process, kind: Kind, body: Body, job_id: str) -> None:
    ends_at = time.monotonic() + SLICE_SECONDS
    while (left := ends_at - time.monotonic()) > 0:
        wanted = max(1, min(ITEMS_AT_ONCE, round(left / _pace.get(kind.name, SLICE_SECONDS))))
        with process.database.transaction(durable=False) as session:
            items = units.claim_items(
                session, job_id, limit=wanted, node=process.node, lease_seconds=kind.lease_seconds
            )
            if not items:
                return
            job = session.get_one(Job, job_id)
        started = time.monotonic()
        done = 0
        while done < len(items) and (done == 0 or time.monotonic() < ends_at):
            _perform(process, kind, body, job, items[done])
            done += 1
        took = (time.monotonic() - started) / done
        _pace[kind.name] = 0.5 * (_pace.get(kind.name, took) + took)
        if done < len(items):
            _give_back(process, items[done:])
            break
        if len(items) < wanted:
            return
    # At the tail of its queue: other jobs have their turn first.
    submit.ring(Doorbell(job.lane, kind.name, job_id))


def _give_back(process: Process, items: Sequence[JobItem]) -> None:
    """Items that were claimed together and took longer than those before: a pause or another worker may have them."""

    for item in items:
        try:
            process.database.persist(partial(units.release, unit=item), durable=False)
        except LeaseLost:
            log.info("%s was taken over before its turn", item.id)


def _perform(process: Process, kind: Kind, body: Body, job: Job, unit: Job | JobItem) -> None:
    table = type(unit)

    def renew(session: Session, tokens: Iterable[str], seconds: float) -> set[str]:
        return units.renew(session, table, tokens, lease_seconds=seconds)

    assert unit.token is not None
    process.current_unit = f"{kind.name} {unit.id}"
    with belonging(request=job.request_id, job=job.id):
        try:
            with process.holding(unit.token, renew, kind.lease_seconds):
                _settle(process, kind, unit, body, Work(process, kind, job, unit))
        except LeaseLost:
            log.info("%s %s was taken over or stopped; the work is thrown away", kind.name, unit.id)
            # Or it was the clip alone that was lost: a claim that was not on the disk when Postgres was killed.
            lapses.give_up(process, unit)
        except Exception:
            # What Celery says of it does not name the request.
            log.exception("What became of %s %s could not be stored", kind.name, unit.id)
            raise
        finally:
            process.current_unit = None


def _settle(process: Process, kind: Kind, unit: Job | JobItem, body: Body, work: Work) -> None:
    """Calls the body and stores the outcome, whatever it is."""
    try:
        outcome = body(work)
        if isinstance(outcome, Spread):
            assert isinstance(unit, Job)
            _store_plan(process, unit, outcome)
        else:
            _store_success(process, unit, outcome)
    except LeaseLost:
        raise
    except Stopped:
        log.info("%s %s is not wanted any more", kind.name, unit.id)
    except Parked as parked:
        why = parked
        process.database.persist(lambda session: _park(session, unit, why), durable=False)
    except WorkError as fault:
        log.warning("%s %s failed: %s (%s)", kind.name, unit.id, fault.message, fault.code)
        _store_failure(process, kind, unit, fault.code, fault.message, retry=isinstance(fault, RetryLater))
    except Exception as fault:
        if isinstance(fault, DBAPIError) and is_disconnect(fault):
            raise
        log.exception("%s %s failed", kind.name, unit.id)
        message = "The work failed unexpectedly; the worker's log has the cause."
        _store_failure(process, kind, unit, "internal_error", message, retry=True)


def _store_success(process: Process, unit: Job | JobItem, done: Done) -> None:
    def store(session: Session) -> None:
        if done.store is not None:
            done.store(session)
        units.finish(session, unit, done.result)

    try:
        process.database.persist(store)
    except LeaseLost:
        # The unit is not ours any more, but what was made is made: others may wait for it.
        if done.store is not None:
            process.database.persist(done.store)
        raise


def _store_plan(process: Process, job: Job, plan: Spread) -> None:
    def store(session: Session) -> None:
        able = partial(workers.able, session)
        if plan.store is not None:
            plan.store(session)
        if plan.children is None:
            spreading.go_on(session, job, able=able)
        else:
            spreading.spread(session, job, plan.children, able=able, notes=plan.notes)

    process.database.persist(store)


def _park(session: Session, unit: Job | JobItem, parked: Parked) -> None:
    if parked.still_needed(session):
        units.release(session, unit, waits_on=parked.waits_on, for_seconds=parked.for_seconds)
    else:
        units.release(session, unit, waits_on=parked.waits_on)
        units.wake(session, parked.waits_on)


def _store_failure(process: Process, kind: Kind, unit: Job | JobItem, code: str, message: str, *, retry: bool) -> None:
    again = retry and unit.attempts < kind.attempts
    pause = BACKOFF_SECONDS[min(unit.attempts, len(BACKOFF_SECONDS)) - 1] if again else None
    process.database.persist(
        lambda session: units.fail(session, unit, code=code, message=message, retry_in_seconds=pause)
    )


def _resolve(body: str) -> Body:
    module, _, function = body.partition(":")
    resolved: Body = getattr(importlib.import_module(module), function)
    return resolved
