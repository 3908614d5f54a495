"""Body of cleanups: one sweep after the other, what was done so far noted as it goes; and when the clock begins one.

The table says which sweep belongs to which target, in the order in which they are made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models import audit, cleanups, error_reports, idempotency, sign_ins, webhooks, workers
from models.cleanups import ALL, OLD_FILES, OUTPUTS, TEMP
from models.db import is_disconnect
from models.gateway import calls
from models.metrics import hours
from tasks import submit, sweep_files, sweep_rows
from tasks.process import current
from tasks.run import Done, Work
from tasks.sweep_rows import CountOld, old_rows
from tasks.sweeps import HOUR_SECONDS, NOTHING, Count, Ground, Sweep

log = logging.getLogger(__name__)

# As often as anybody looks; each is a write.
NOTE_SECONDS = 1.0
# A disk that refuses everything would fill the row with the same sentence.
ERRORS_SHOWN = 20


def _dated(count: Callable[[Session], int]) -> CountOld:
    """The function of rows that know by themselves how long they are kept."""
    return lambda session, _: count(session)


def _jobs(ground: Ground) -> int:
    return ground.process.settings.job_retention_days


def _errors(ground: Ground) -> int:
    return ground.process.settings.error_retention_days


def _audit(ground: Ground) -> int:
    return ground.process.settings.audit_retention_days


def _tool_calls(ground: Ground) -> int:
    return ground.process.settings.tool_history_days


def _metrics(ground: Ground) -> int:
    return ground.process.settings.metric_retention_days


_OUTPUTS, _TEMP, _OLD = frozenset({OUTPUTS}), frozenset({TEMP}), frozenset({OLD_FILES})

SWEEPS = (
    Sweep("expired_speech", _OUTPUTS, sweep_rows.expired_speech),
    Sweep("files_without_rows", _OUTPUTS | _OLD, sweep_files.without_rows),
    Sweep("unfinished_files", _TEMP, sweep_files.drafts),
    Sweep("temporary_files", _TEMP, sweep_files.temporary),
    Sweep("import_folders", _TEMP, sweep_files.of_imports),
    Sweep("training_folders", _TEMP, sweep_files.of_trainings),
    Sweep("session_folders", _TEMP, sweep_files.of_sessions),
    Sweep("batch_folders", _TEMP, sweep_files.of_batches),
    Sweep("fetched_pages", _TEMP, sweep_files.fetched),
    Sweep("speech_without_files", _OLD, sweep_rows.lost_speech),
    Sweep("images_without_files", _OLD, sweep_rows.lost_images),
    Sweep("captures_without_files", _OLD, sweep_rows.lost_captures),
    Sweep("old_jobs", _OLD, sweep_rows.old_jobs),
    Sweep("old_deliveries", _OLD, old_rows("deliveries", _jobs, webhooks.count_old, webhooks.forget_old)),
    Sweep("old_errors", _OLD, old_rows("errors", _errors, error_reports.count_old, error_reports.forget_old)),
    Sweep("old_audit_entries", _OLD, old_rows("audit entries", _audit, audit.count_old, audit.forget_old)),
    Sweep("old_tool_calls", _OLD, old_rows("tool calls", _tool_calls, calls.count_old, calls.forget_old)),
    Sweep("old_metrics", _OLD, old_rows("figures", _metrics, hours.count_old, hours.forget_old)),
    *(
        Sweep(name, _OLD, old_rows(name, lambda ground: 1, _dated(count), _dated(forget)))
        for name, count, forget in (
            ("old_answers", idempotency.count_old, idempotency.forget_old),
            ("old_sign_ins", sign_ins.count_old, sign_ins.forget_old),
            ("old_workers", workers.count_old, workers.forget_old),
        )
    ),
)


def sweeps_of(target: str) -> list[Sweep]:
    """The sweeps of a target; ``all`` is every one."""
    return [sweep for sweep in SWEEPS if target == ALL or target in sweep.targets]


def clean(work: Work) -> Done:
    """Removes what nobody needs any more (``params``: ``target``, ``max_age_hours``, ``dry_run``).

    Called again for one that goes on: with the sweep at which the last worker was.
    """
    cleanup = _Cleanup(work)
    for sweep in sweeps_of(work.params["target"]):
        cleanup.make(sweep)
    return Done(cleanup.so_far())


class _Cleanup:
    """One cleanup, and what it has done so far."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._dry = bool(work.params["dry_run"])
        # What a first try finds in its row is of a former life, before somebody had it done anew.
        before = (work.job.result or {}) if work.job.attempts > 1 else {}
        self._made: list[str] = list(before.get("made", ()))
        self._counts = {
            name: Count(each["files"], each["bytes"], each["rows"])
            for name, each in before.get("sweeps", {}).items()
            # What a real one has removed is gone; a dry one counts a sweep from its beginning.
            if name in self._made or not self._dry
        }
        self._errors: list[str] = list(before.get("errors", ()))
        self._error_count: int = before.get("error_count", 0)
        self._took: float = before.get("duration_seconds", 0.0)
        self._began = self._noted_at = time.monotonic()
        self._sweep = ""

    def make(self, sweep: Sweep) -> None:
        """One sweep, unless it was made before; what goes wrong in it keeps no other from being made."""
        if sweep.name in self._made:
            return
        self._sweep = sweep.name
        self._counts.setdefault(sweep.name, NOTHING)
        self._breathe()
        hours_asked = self._work.params["max_age_hours"]
        ground = Ground(
            self._work.process,
            now=time.time(),
            max_age_seconds=None if hours_asked is None else hours_asked * HOUR_SECONDS,
            breathe=self._breathe,
            failed=self._failed,
        )
        try:
            for candidate in sweep.find(ground):
                self._breathe()
                try:
                    self._counts[sweep.name] += candidate.count if self._dry else candidate.remove()
                except OSError as fault:
                    ground.fault(candidate.what, fault)
        except OSError as fault:
            ground.fault(sweep.name, fault)
        except DBAPIError as fault:
            if is_disconnect(fault):
                raise
            log.warning("Sweep %s failed: %s", sweep.name, fault.orig)
            self._failed(f"{sweep.name}: the database refused ({type(fault.orig).__name__})")
        self._made.append(sweep.name)
        self._note()

    def so_far(self) -> dict[str, object]:
        """What was done until now, for the row."""
        total = sum(self._counts.values(), NOTHING)
        return {
            "files_removed": total.files,
            "bytes_freed": total.size_bytes,
            "rows_removed": total.rows,
            "duration_seconds": round(self._took + time.monotonic() - self._began, 3),
            "errors": self._errors,
            "error_count": self._error_count,
            "sweeps": {
                name: {"files": each.files, "bytes": each.size_bytes, "rows": each.rows}
                for name, each in self._counts.items()
            },
            "made": self._made,
        }

    def _failed(self, sentence: str) -> None:
        self._error_count += 1
        if len(self._errors) < ERRORS_SHOWN:
            self._errors.append(sentence)

    def _breathe(self) -> None:
        """Says how far it is.

        Raises:
            Stopped: nobody wants it any more.
        """
        self._work.report(len(self._made) / len(sweeps_of(self._work.params["target"])), self._sweep)
        if time.monotonic() - self._noted_at >= NOTE_SECONDS:
            self._note()

    def _note(self) -> None:
        self._noted_at = time.monotonic()
        database = self._work.process.database
        database.persist(lambda session: cleanups.note(session, self._work.job, self.so_far()), durable=False)


def due(*, starting: bool = False) -> None:
    """Begins a cleanup of everything when the last one is as long ago as the settings say.

    ``starting``: a clock has just been started, which may be a reason of its own.
    """
    process = current()
    settings = process.settings
    with process.database.transaction() as session:
        if cleanups.is_due(
            session,
            interval_hours=settings.cleanup_interval_hours,
            starting=starting and settings.cleanup_on_startup,
        ):
            params = cleanups.params(ALL, None, dry_run=False)
            # Its worker may be on its way, as everything is at a start.
            submit.submit(session, cleanups.KIND, lane=cleanups.LANE, params=params, certain=True)
