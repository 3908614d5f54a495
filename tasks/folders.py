"""The folder in which a job leaves what it has made so far, for whichever worker goes on with it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import LeaseLost
from models.jobs.tables import CANCELLED, Job
from tasks.run import Work
from workers.errors import BadInput, RetryLater, Stopped

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def going_on_in(folder: Path, work: Work) -> Iterator[None]:
    """Keeps the folder for the next try, and removes it where there will be none, or none that could use it.

    Raises:
        RetryLater: the disk is full.
        Stopped: the folder is gone: whoever took the job over is done with it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (Stopped, LeaseLost):
        if _cancelled(work):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except BadInput:
        # What is wrong with it stays wrong: a retry begins from the beginning.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as fault:
        if fault.errno in _FULL:
            raise RetryLater("The disk is full; it goes on when there is room.", code="disk_full") from fault
        if not folder.exists():
            raise Stopped from fault
        raise


def _cancelled(work: Work) -> bool:
    """Whether it was cancelled while it was this worker's, so that its folder is nobody else's."""
    with work.process.database.transaction(durable=False) as session:
        now = session.get(Job, work.job.id, populate_existing=True)
        return now is None or (now.state == CANCELLED and now.token == work.unit.token)
