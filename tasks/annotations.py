"""Texts that transcribers handed in, written to Label Studio after the commit that took them, and until they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import cache

from sqlalchemy.orm import Session

from models.transcription import delivering
from models.transcription.delivering import Claimed
from tasks import judging
from tasks.process import Process, current
from tasks.senders import Senders
from workers.clients.label_studio import Away, LabelStudio, Project, TaskGone
from workers.errors import WorkError

log = logging.getLogger(__name__)

# It takes four texts a second, whoever asks.
SENDERS = 2
# So long nothing is sent where nobody answered: every text that is due would be put off, for minutes in the end, and
# wait on when it is back.
AWAY_SECONDS = 5.0
_RECEIVER = "Label Studio"


def deliver() -> None:
    """Judges what came, starts senders for what is due, and waits a moment for them."""
    judging.judge(current().database)
    senders.start()


def server(process: Process) -> LabelStudio | None:
    """The Label Studio of the settings; None where there is none."""
    settings = process.settings
    if not settings.label_studio_url:
        return None
    return _server(settings.label_studio_url, settings.label_studio_api_key or "", settings.label_studio_project_id)


@cache
def _server(url: str, api_key: str, project_id: int) -> LabelStudio:
    return LabelStudio(url, api_key, project_id)


@cache
def _project(studio: LabelStudio) -> Project:
    # What it is called and where texts go does not change under way; asked once in the life of a worker.
    return studio.project()


class _Answers:
    """When somebody may be asked again who did not answer."""

    def __init__(self) -> None:
        self._again_at = 0.0

    def missed(self) -> None:
        """They did not answer."""
        self._again_at = time.monotonic() + AWAY_SECONDS

    def heard(self) -> None:
        """They did."""
        self._again_at = 0.0

    def due(self) -> bool:
        """Whether it is worth to ask."""
        return time.monotonic() >= self._again_at


answers = _Answers()


def _claim(session: Session, busy: Sequence[str]) -> Claimed | None:
    return delivering.claim(session) if _RECEIVER not in busy and answers.due() else None


def _send(process: Process, claimed: Claimed) -> None:
    studio = server(process)
    persist = process.database.persist
    if studio is None:
        persist(lambda session: delivering.put_off(session, claimed, "There is no Label Studio (LABEL_STUDIO_URL)."))
        return
    try:
        number = studio.annotate(
            _project(studio),
            claimed.task_id,
            claimed.text,
            unique_id=claimed.unique_id,
            worked_seconds=claimed.worked_seconds,
        )
    except TaskGone as fault:
        problem = fault.message
        log.warning("Text %s comes to nothing: %s", claimed.id, problem)
        persist(lambda session: delivering.task_is_gone(session, claimed, problem))
    except WorkError as fault:
        problem = fault.message
        if isinstance(fault, Away):
            answers.missed()
        log.warning("Text %s is not written yet: %s", claimed.id, problem)
        persist(lambda session: delivering.put_off(session, claimed, problem))
    else:
        answers.heard()
        persist(lambda session: delivering.written(session, claimed, number))


senders = Senders[Claimed](
    "annotation",
    most=SENDERS,
    to_one=SENDERS,
    claim=_claim,
    receiver=lambda _: _RECEIVER,
    send=_send,
)
