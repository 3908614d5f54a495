"""Celery without anything around it: ``python -m bench.bare_celery COUNT``, with its broker in ``REDIS_URL``.

So many tasks that do nothing are sent, then a solo worker takes them, with the settings of ours that concern messages;
it prints how many it does a second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from celery import Celery, signals
from kombu import Queue

from tasks.celery_app import broker_url

_LANE = "bench-bare"
_done: list[float] = []

app = Celery("bare", broker=broker_url(os.environ["REDIS_URL"]))
app.conf.update(
    task_queues=[Queue(_LANE)],
    task_default_queue=_LANE,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_hijack_root_logger=False,
    # What is printed is read by whoever started it.
    worker_redirect_stdouts=False,
)


@app.task(name="bare.nothing")
def nothing(_: str) -> None:
    """Nothing."""


def main() -> None:
    """Sends, works and prints."""
    count = int(sys.argv[1])
    for number in range(count):
        nothing.delay(str(number))

    def after(**_: Any) -> None:
        _done.append(time.perf_counter())
        if len(_done) == count:
            print(json.dumps((count - 1) / (_done[-1] - _done[0])), flush=True)
            os._exit(0)

    signals.task_postrun.connect(after, weak=False)
    arguments = ["worker", "--pool=solo", "--hostname=bare@%h", "--without-gossip", "--without-mingle"]
    app.worker_main([*arguments, "--loglevel=ERROR"])


if __name__ == "__main__":
    main()
