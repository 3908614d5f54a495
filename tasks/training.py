"""A training in a child process, from its start to its end: what it says is kept, and it ends when nobody wants it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.db import is_disconnect
from models.errors import LeaseLost
from models.jobs import work as units
from models.jobs.tables import Job
from tasks.run import REPORT_SECONDS, Parked, Work
from tasks.training_child import TrainingChild
from workers.errors import BadInput, RetryLater, Stopped

log = logging.getLogger(__name__)

# How often it is looked whether a training is still wanted while its process says nothing.
LOOK_SECONDS = 0.5
# By then the worker that let go of a training is not asked for it again.
LEFT_SECONDS = 2.0
# More are for measuring, not for reading.
WARNINGS_SHOWN = 50

# Stores what is told of a training; raises LeaseLost where that is the caller's no more.
Note = Callable[[Session, Job, Mapping[str, Any]], None]


def _held(session: Session, job: Job, detail: Mapping[str, Any]) -> None:
    units.hold(session, job)


class Training:
    """Runs ``module`` on a folder, and keeps what it tells in ``detail`` by ``note``.

    ``hear`` takes the messages of its own kind; what all trainings say (phase, warning, failed, done) is heard here.
    """

    def __init__(
        self,
        work: Work,
        folder: Path,
        *,
        module: str,
        detail: Mapping[str, Any] | None = None,
        note: Note = _held,
        hear: Callable[[dict[str, Any], Mapping[str, Any]], None] = lambda detail, message: None,
    ) -> None:
        self.detail: dict[str, Any] = dict(detail or {})
        self._work = work
        self._folder = folder
        self._module = module
        self._note = note
        self._hear_own = hear
        self._phase = work.job.phase or "Starting"
        self._progress = work.job.progress
        self._changed = False
        self._told_at = 0.0

    def run(self) -> None:
        """The child, from its start to its end, unless it has reached that before.

        Raises:
            Stopped: nobody wants it any more; the child is gone.
            Parked: this worker is to stop.
            BadInput: it says that it cannot be done.
            RetryLater: it died.
        """
        if (self._folder / "done").exists():
            return
        with TrainingChild(self._folder, self._module) as child:
            self._work.process.current_unit = f"{self._work.kind.name} {self._work.job.id} (process {child.pid})"
            ended = False
            for message in child.messages(REPORT_SECONDS):
                if message is not None:
                    ended = self._hear(message) or ended
                self.tell()
            if not ended:
                self.tell(at_once=True, may_leave=False)
                how = child.died_of()
                message_shown = f"The training's process ended with {how}. A further try goes on where it was."
                raise RetryLater(message_shown, code="training_died")
        (self._folder / "done").touch()

    def tell(self, *, at_once: bool = False, may_leave: bool = True) -> None:
        """Stores what was heard, at most four times a second, and looks now and then whether it is still wanted.

        Raises:
            Stopped: it is not.
            Parked: this worker was asked to stop; the next one goes on.
        """
        process, job = self._work.process, self._work.job
        if process.lost(job.token):
            raise Stopped
        if process.leaving and may_leave:
            # All it has is in its folder; this was no failed try.
            raise Parked("worker:train", lambda session: True, for_seconds=LEFT_SECONDS)
        since = time.monotonic() - self._told_at
        if since < (REPORT_SECONDS if self._changed else LOOK_SECONDS) and not at_once:
            return
        self._told_at = time.monotonic()
        try:
            with process.database.transaction(durable=False) as session:
                if self._changed:
                    units.report(session, job, progress=self._progress, phase=self._phase)
                    self._note(session, job, self.detail)
                else:
                    units.hold(session, job)
        except LeaseLost as lost:
            raise Stopped from lost
        except DBAPIError as fault:
            if not is_disconnect(fault):
                raise
            log.warning("The training's progress was not stored: %s", fault.orig)
            return
        self._changed = False

    def _hear(self, message: Mapping[str, Any]) -> bool:
        """Notes what the child says; whether that is that it is done."""
        self._changed = True
        match message["type"]:
            case "phase":
                self._phase = str(message["phase"])[:200]
                self._progress = max(self._progress, min(1.0, float(message["progress"])))
            case "warning":
                said = self.detail.get("warnings", [])
                if message["text"] not in said:
                    self.detail["warnings"] = [*said, str(message["text"])[:500]][:WARNINGS_SHOWN]
            case "failed":
                raise BadInput(str(message["message"])[:1000], code=str(message.get("code", "bad_input")))
            case "done":
                return True
            case _:
                self._hear_own(self.detail, message)
        return False
