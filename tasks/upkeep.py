"""What keeps the queue true: lapsed leases come back, lost doorbells are rung again, the cache stays in bounds."""

from __future__ import annotations

import logging
import shutil
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from sqlalchemy.orm import Session

from models import idempotency, imports, sign_ins, speech_clips, speech_eviction, speech_renditions, workers
from models.events import Doorbell
from models.jobs import lapses, queries, waiters
from models.jobs import work as units
from tasks import submit
from tasks.kinds import KINDS
from tasks.process import Process, current

log = logging.getLogger(__name__)

# What servers may say is unchanged, for those who bring their courses up to date every week or so.
FETCHED_SECONDS = 14 * 86400.0

ATTEMPTS = {kind.name: kind.attempts for kind in KINDS.values()}


def take_back(process: Process, *, node: str | None = None) -> int:
    """How many units came back: those whose lease lapsed, or all of a dead ``node``."""

    def write(session: Session) -> int:
        for key in speech_clips.return_lapsed(session, node=node):
            units.wake(session, f"clip:{key}")
        return lapses.return_lapsed(session, ATTEMPTS, node=node)

    returned = process.database.persist(write)
    if returned:
        log.warning("%d units came back from %s", returned, node or "lapsed leases")
    return returned


def reclaim() -> None:
    """One round: takes back what lapsed, lets go of waiters that vanished, rings lanes for what nobody comes for."""
    process = current()
    take_back(process)
    with process.database.transaction() as session:
        waiters.expire(session)
    with process.database.transaction(durable=False) as session:
        waiting = queries.waiting(session)
        able = {lane: workers.able(session, lane) for lane in {job.lane for job in waiting}}
    by_lane: defaultdict[str, list[queries.Waiting]] = defaultdict(list)
    for job in waiting:
        by_lane[job.lane].append(job)
    for lane, jobs in by_lane.items():
        messages = int(process.redis.llen(lane))
        for job in jobs:
            wanted = min(job.units, max(0, able[lane] - job.at_work)) if job.sliced else 1
            # Messages in the queue are for some of these; which ones does not matter.
            covered = min(wanted, messages)
            messages -= covered
            if wanted > covered:
                submit.ring(Doorbell(lane, job.kind, job.job_id, wanted - covered))


def trim_cache() -> None:
    """Keeps speech within its size and age, then removes files that no row points to."""
    process = current()
    settings = process.settings
    with process.database.transaction() as session:
        freed = speech_eviction.evict(
            session, max_bytes=settings.speech_cache_max_bytes, ttl_days=settings.speech_cache_ttl_days
        )
        workers.forget_old(session)
        sign_ins.forget_old(session)
        idempotency.forget_old(session)
    removed = _sweep(process)
    clear_imports(process)
    if freed or removed:
        log.info("Speech cache trimmed", extra={"bytes_evicted": freed, "files_removed": removed})


def clear_imports(process: Process) -> None:
    """Removes what imports left that ended a while ago, or never became jobs, and old files from the web."""
    folders = imports.folders(process.settings.var_dir)
    # One that is younger may be of an import whose row is about to be written.
    old = [path for place in (folders.root, folders.uploads) for path in _older(place, imports.KEPT_SECONDS)]
    left = {path.name: path for path in old if path not in (folders.uploads, folders.cache)}
    if left:
        with process.database.reading() as session:
            over = imports.over(session, list(left))
        for name in over:
            shutil.rmtree(left[name], ignore_errors=True)
            with suppress(OSError):
                left[name].unlink()
    for path in _older(folders.cache, FETCHED_SECONDS):
        path.unlink(missing_ok=True)


def _older(folder: Path, seconds: float) -> list[Path]:
    before = time.time() - seconds
    found = []
    for path in folder.glob("*"):
        # Another worker may be done with it at this moment.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                found.append(path)
    return found


def _sweep(process: Process) -> int:
    """How many files were removed that no row points to."""

    def known(names: list[str]) -> set[str]:
        with process.database.reading() as session:
            return speech_renditions.known_files(session, names)

    removed = 0
    for path in process.files.strays(known):
        path.unlink(missing_ok=True)
        removed += 1
    return removed
