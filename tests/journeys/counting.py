"""The Celery app of a worker with one more kind of job: it only counts, and notes whatever it did."""

from __future__ import annotations

import os
import time

from tasks import celery_app, kinds
from tasks.kinds import Kind
from tasks.run import Done, Work

# Its name, and the file of its notes in VAR_DIR. Tests name both themselves: loading this adds the kind to the table.
NAME, NOTES = "test.count", "notes"

kinds.KINDS[NAME] = Kind(NAME, "tests.journeys.counting:count", sliced=True)
celery_app._add(NAME)

# After the kind: the worker's modules read the table when they are loaded.
from tasks.worker import app  # noqa: E402

__all__ = ["app", "count"]


def count(work: Work) -> Done:
    """Takes ``seconds``, looking all the while whether anybody still wants it."""
    number, ends = work.params["number"], time.monotonic() + work.params["seconds"]
    note(work, f"begun {number}")
    while time.monotonic() < ends:
        work.report(0.5, "counting")
        time.sleep(0.01)
    note(work, f"done {number}")
    return Done({"number": number})


def note(work: Work, line: str) -> None:
    """One line of the notes, which several processes may write."""
    notes = os.open(work.process.settings.var_dir / NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(notes, f"{line}\n".encode())
    os.close(notes)
