"""What a web process has yet to write of its requests: the errors that it answered, what administrators did.

It is written once a second, in a transaction for each kind. A write that fails is tried again; when its answer was
lost, what it wrote may be there twice. However long Postgres is away, what waits is bounded.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from sqlalchemy.exc import DataError, IntegrityError

from models import audit, error_reports
from models.audit import Call
from models.db import Database
from models.error_reports import ERROR, ROWS_A_MINUTE, Group, Report

log = logging.getLogger(__name__)

# Minutes × endpoints × codes that wait; each holds ROWS_A_MINUTE messages at most, so that all are some 10 MB.
GROUPS_WAITING = 500
# What is beyond is counted only: a group for each hour.
OTHER = "other"
# Some 5 MB: half an hour of three calls a second.
CALLS_WAITING = 5_000


class Errors:
    """The errors of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[Group, list[Report]] = {}

    def add(self, report: Report) -> None:
        """One more, or several that could not be written."""
        with self._lock:
            self._add(report)

    def flush(self, database: Database) -> None:
        """Writes what came since the last time; on failure it is kept for the next."""
        with self._lock:
            groups, self._groups = self._groups, {}
        waiting = [report for group in groups.values() for report in group]
        if not waiting:
            return
        try:
            with database.transaction() as session:
                error_reports.record(session, waiting)
            waiting = []
        except (DataError, IntegrityError) as fault:
            # It would be refused for ever, and hold up all others.
            log.error("%d error reports cannot be stored: %s", len(waiting), fault.orig)
            waiting = []
        finally:
            with self._lock:
                for report in waiting:
                    self._add(report)

    def _add(self, report: Report) -> None:
        kept = self._groups.get(report.group)
        if kept is None and len(self._groups) >= GROUPS_WAITING:
            hour = report.minute.replace(minute=0)
            report = Report(report.at, hour, OTHER, OTHER, ERROR, "Too many to be told apart.", count=report.count)
            kept = self._groups.get(report.group)
        if kept is None:
            self._groups[report.group] = [report]
        elif len(kept) < ROWS_A_MINUTE:
            kept.append(report)
        else:
            kept[-1] = kept[-1].plus(report)


class Calls:
    """The administrative calls of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Call] = deque()
        self._dropped = 0

    def add(self, call: Call) -> None:
        """One more; of too many the newest is only counted, so that nobody can push out what was done before."""
        with self._lock:
            if len(self._waiting) < CALLS_WAITING:
                self._waiting.append(call)
            else:
                self._dropped += 1

    def flush(self, database: Database) -> None:
        """Writes what came since the last time; on failure it is kept for the next."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            dropped, self._dropped = self._dropped, 0
        if not waiting and not dropped:
            return
        try:
            with database.transaction() as session:
                audit.write(session, waiting)
            if dropped:
                log.error("%d administrative calls are in no row: Postgres was away for too long", dropped)
            waiting, dropped = deque(), 0
        except (DataError, IntegrityError) as fault:
            log.error("%d administrative calls cannot be stored: %s", len(waiting), fault.orig)
            waiting = deque()
        finally:
            with self._lock:
                self._waiting.extendleft(reversed(waiting))
                # What came meanwhile may be too much now.
                while len(self._waiting) > CALLS_WAITING:
                    self._waiting.pop()
                    dropped += 1
                self._dropped += dropped


class Records:
    """Both."""

    def __init__(self) -> None:
        self.errors = Errors()
        self.calls = Calls()

    def flush(self, database: Database) -> None:
        """Writes both; what fails is kept for the next time."""
        try:
            self.errors.flush(database)
        finally:
            self.calls.flush(database)
