"""Small jobs that are done while their caller waits: bounded as everything live, and over when the caller hangs up."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app import context
from app.http import waiting
from app.sockets.hub import News
from app.speech_ended import PASSING
from config.settings import Settings
from models.accounts import Caller
from models.errors import Busy, OverShare, Unavailable
from models.jobs import queries, waiters
from tasks import submit

BUSY_SECONDS = 2


def admit(session: Session, settings: Settings, caller: Caller) -> None:
    """Lets a caller have one more live job, where not too many wait.

    Raises:
        Busy, OverShare: too much is waiting, or too much of the caller's.
    """
    waiting_in_all, waiting_here = queries.live_waiting(session, caller.account_id)
    if waiting_in_all >= settings.live_waiting_max:
        raise Busy(f"{waiting_in_all} requests are waiting already.", retry_after_seconds=BUSY_SECONDS)
    if waiting_here >= settings.live_waiting_share:
        raise OverShare(f"{waiting_here} of your requests are waiting already.", retry_after_seconds=BUSY_SECONDS)


def done(caller: Caller, kind: str, *, lane: str, params: dict[str, Any], nobody: str) -> News:
    """The end of a new job of this kind; ``nobody`` says what is missing where no worker serves its lane.

    Raises:
        Busy, OverShare: too much is waiting, or too much of the caller's.
        Unavailable: nobody does it, or nobody did in time, or it was lost on the way.
        ClientGone: nobody waits any more.
    """
    here = context.current()
    with here.hub.subscribed() as subscription:
        with here.database.transaction() as session:
            admit(session, here.settings, caller)
            try:
                job, _ = submit.submit(session, kind, lane=lane, params=params, account_id=caller.account_id)
            except Unavailable as fault:
                raise Unavailable(nobody, retry_after_seconds=fault.retry_after_seconds, lane=lane) from None
            waiter = waiters.join(session, job.id)
        subscription.job_id = job.id
        with here.hub.waiting(waiter):
            ended = waiting.until_ended(job.id, subscription, timeout_seconds=here.settings.live_wait_seconds)
    error = ended["error"]
    if error is not None and error["code"] in PASSING:
        raise Unavailable(error["message"], retry_after_seconds=submit.RETRY_AFTER_SECONDS, code=error["code"])
    return ended
