"""What comes back to the queue: units of workers that are gone, and what this process lost its hold of."""

from __future__ import annotations

import logging
from contextlib import suppress

from sqlalchemy.orm import Session

from models import speech_clips
from models.errors import LeaseLost
from models.jobs import lapses
from models.jobs import work as units
from models.jobs.work import Unit
from tasks.kinds import KINDS
from tasks.process import Process

log = logging.getLogger(__name__)

ATTEMPTS = {kind.name: kind.attempts for kind in KINDS.values()}


def take_back(process: Process, *, node: str | None = None) -> int:
    """How many units came back: those whose lease lapsed, or all that ``node`` holds (it is dead, or at nothing)."""

    def write(session: Session) -> int:
        for key in speech_clips.return_lapsed(session, node=node):
            units.wake(session, f"clip:{key}")
        return lapses.return_lapsed(session, ATTEMPTS, node=node)

    returned = process.database.persist(write)
    if returned:
        log.warning("%d units came back from %s", returned, node or "lapsed leases")
    return returned


def give_up(process: Process, unit: Unit) -> None:
    """The next may have the unit at once, unless it is somebody else's already."""
    with suppress(LeaseLost):
        process.database.persist(lambda session: lapses.return_unit(session, unit, ATTEMPTS))
