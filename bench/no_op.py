"""Jobs of ours that do nothing: ``celery --app=bench.no_op`` is a worker for them, ``python -m bench.no_op`` submits.

``python -m bench.no_op single COUNT`` makes so many jobs, ``sliced COUNT`` one job of so many items; each prints what
to look for. They are a kind of their own on a lane of their own, and go the whole way that every job goes.
"""

from __future__ import annotations

import json
import sys

from kombu import Queue

from tasks import kinds
from tasks.kinds import Kind

LANE = "bench"
_SINGLE, _SLICED = "bench.single", "bench.sliced"
_BODY = "bench.no_op:nothing"
# Before the Celery app is made, which has a task for each kind.
kinds.KINDS[_SINGLE] = Kind(_SINGLE, _BODY)
kinds.KINDS[_SLICED] = Kind(_SLICED, _BODY, sliced=True)

from models.events import Doorbell  # noqa: E402
from tasks import submit  # noqa: E402
from tasks.celery_app import app as celery_app  # noqa: E402
from tasks.run import Done, Work  # noqa: E402

celery_app.amqp.queues.add(Queue(LANE))


def nothing(work: Work) -> Done:
    """Nothing."""
    return Done({})


def main() -> None:
    """Submits, and prints the ids of the first and the last job."""
    from config import settings
    from models.jobs.lifecycle import NewItem

    shape, count = sys.argv[1], int(sys.argv[2])
    configured = settings.load()
    database = submit.open_database(configured, submit.open_redis(configured.redis_url))
    jobs = []
    for number in range(count if shape == "single" else 1):
        with database.transaction() as session:
            kind = _SINGLE if shape == "single" else _SLICED
            items = [] if shape == "single" else [NewItem({"number": item}) for item in range(count)]
            job, _ = submit.submit(session, kind, lane=LANE, params={"number": number}, items=items, certain=True)
            jobs.append(job.id)
        if shape == "sliced":
            # Nobody was able to come for it when it was submitted.
            submit.ring(Doorbell(LANE, kind, job.id))
    print(json.dumps(jobs))
    database.dispose()


if __name__ == "__main__":
    main()
else:
    # What a worker does when it starts and ends.
    from tasks.worker import app

    __all__ = ["app", "nothing"]
