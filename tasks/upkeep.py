"""What keeps the queue true: lapsed leases come back, lost doorbells are rung again, the cache stays in bounds.

Leases of transcribers are leases, too.
"""

from __future__ import annotations

import logging
from collections import defaultdict

from models import speech_eviction, workers
from models.events import Doorbell
from models.jobs import queries, waiters
from models.metrics import reading
from models.transcription import assigning
from tasks import lapses, submit, sweep_rows
from tasks.process import current

log = logging.getLogger(__name__)

# Files of evicted speech that were written a moment ago: each round looks at them again. Those that are forgotten with
# the process are found by a cleanup.
_young: set[str] = set()


def reclaim() -> None:
    """One round: takes back what lapsed, lets go of waiters that vanished, rings lanes for what nobody comes for."""
    process = current()
    lapses.take_back(process)
    with process.database.transaction() as session:
        waiters.expire(session)
    with process.database.transaction() as session:
        assigning.expire(session)
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
    """Keeps speech within its size; what ages is for cleanups (tasks/cleanup.py)."""
    process = current()
    with process.database.transaction() as session:
        evicted = speech_eviction.evict(session, max_bytes=process.settings.speech_cache_max_bytes)
    removed, young = sweep_rows.remove_let_go(process, evicted.files | _young)
    # Changed only now: when Postgres is away, those of before are looked at again.
    _young.clear()
    _young.update(young)
    if evicted.size_bytes or removed.files:
        log.info("Speech cache trimmed", extra={"bytes_evicted": evicted.size_bytes, "files_removed": removed.files})


def keep_hours() -> None:
    """Keeps what was counted in each hour, so that it is there when Redis is not."""
    process = current()
    with process.database.transaction(durable=False) as session:
        reading.keep_hours(session, process.redis)
