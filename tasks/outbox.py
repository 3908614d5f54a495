"""What is told to others: messages to webhooks, sent after the commit that made them, and again until they are taken.

A few threads send, each as long as something is due, so that whoever rang is back at other work within a second
however slow a receiver is.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from sqlalchemy.exc import SQLAlchemyError

from config.logs import belonging
from models import webhooks
from models.webhooks import Claimed, Outcome
from tasks.process import Process, current
from workers.clients import webhook

log = logging.getLogger(__name__)

# They wait for others and compute next to nothing.
SENDERS = 8
# One slow receiver with a hundred messages must leave senders for the rest.
SENDERS_TO_ONE = 2
# Fast receivers are done by then, and the worker's log and register say what it did; slow ones go on by themselves.
PATIENCE_SECONDS = 1.0

# One claims at a time: what is at work must be known to the next.
_lock = threading.Lock()
_at_work: Counter[str] = Counter()


def deliver() -> None:
    """Starts senders for what is due, as many as may be, and waits a moment for them."""
    process = current()
    started = []
    while (claimed := _next(process)) is not None:
        # Not a daemon: a worker that is told to stop lets them finish what they are sending.
        sender = threading.Thread(target=_send_while_due, args=(process, claimed), name=f"webhook {claimed.id}")
        sender.start()
        started.append(sender)
    share = PATIENCE_SECONDS / max(1, len(started))
    for sender in started:
        sender.join(share)


def _next(process: Process) -> Claimed | None:
    """A delivery for a free sender; None when there is none, or no sender is free."""
    with _lock:
        # A process that ends takes up nothing more.
        if _at_work.total() >= SENDERS or not threading.main_thread().is_alive():
            return None
        busy = [receiver for receiver, count in _at_work.items() if count >= SENDERS_TO_ONE]
        try:
            with process.database.transaction() as session:
                claimed = webhooks.claim(session, but_to=busy)
        except SQLAlchemyError as fault:
            log.warning("Nothing is sent while Postgres is away: %s", fault)
            return None
        if claimed is not None:
            _at_work[webhooks.receiver(claimed.url)] += 1
        return claimed


def _send_while_due(process: Process, first: Claimed) -> None:
    claimed: Claimed | None = first
    while claimed is not None:
        try:
            with belonging(request=claimed.request_id, job=claimed.job_id):
                _send(process, claimed)
        except SQLAlchemyError as fault:
            # Its lease ends, and it is sent again: the receiver knows it by its id.
            log.warning("What became of delivery %s was not stored: %s", claimed.id, fault)
        finally:
            # Whatever went wrong: a sender that is counted though it has gone would be missing for good.
            with _lock:
                _at_work.subtract([webhooks.receiver(claimed.url)])
        claimed = _next(process)


def _send(process: Process, claimed: Claimed) -> None:
    settings = process.settings
    key = webhooks.signing_key(settings.secret_key, settings.voiceworks_webhook_secret, claimed.account_id)
    answer = webhook.send(
        claimed.url,
        claimed.payload,
        delivery_id=claimed.id,
        key=key,
        allow_private=settings.webhook_allow_private,
    )
    outcome = Outcome(**vars(answer))
    process.database.persist(lambda session: webhooks.settle(session, claimed, outcome))
    if not outcome.taken:
        log.info("Delivery %s was not taken: %s", claimed.id, answer.error or answer.status)
