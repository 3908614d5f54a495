"""What is told to others: messages to webhooks, sent after the commit that made them, again until they are taken."""

from __future__ import annotations

import logging

from config.logs import belonging
from models import webhooks
from models.webhooks import Claimed, Outcome
from tasks.process import Process
from tasks.senders import Senders
from workers.clients import webhook

log = logging.getLogger(__name__)

# They wait for others and compute next to nothing.
SENDERS = 8
SENDERS_TO_ONE = 2


def deliver() -> None:
    """Starts senders for what is due, as many as may be, and waits a moment for them."""
    senders.start()


def _send(process: Process, claimed: Claimed) -> None:
    with belonging(request=claimed.request_id, job=claimed.job_id):
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


senders = Senders[Claimed](
    "webhook",
    most=SENDERS,
    to_one=SENDERS_TO_ONE,
    claim=lambda session, busy: webhooks.claim(session, but_to=busy),
    receiver=lambda claimed: webhooks.receiver(claimed.url),
    send=_send,
)
