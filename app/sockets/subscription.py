"""What waits for one socket or waiter: no state change of a job is ever left out, chatter may be."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from models.accounts import Caller

News = dict[str, Any]

# State changes that may wait for one reader; they are shared by all, so that ten thousand of them are some 10 MB once
# and 1 MB more for each such reader. Who is further behind is cut off and told so, and begins again.
BACKLOG = 10_000
# Messages of the client that wait for an answer; one that asks this much without reading is no client.
SAID = 1_000
# Moments of chatter (log lines, presence): twenty seconds of it.
CHATTER = 80
# Entries taken at once: what is taken can no longer give way to newer news of the same.
BATCH = 50


# As if the client had left, but that it is to be told why.
GOING_AWAY: News = {"said": None, "code": 1001, "why": "The server stops; connect again."}
SIGNED_OUT: News = {"said": None, "code": 4401, "why": "The credential is not good any more; connect with another."}


class TooSlow(Exception):
    """More waits for the reader than may be kept, and nothing may be left out."""


class Subscription:
    """News for one waiter or socket; ``job_id`` None is every job that ``wanted`` accepts.

    While news of a job waits, newer news of the same state takes its place; a change of state gets a place of its own.
    So versions rise, every state arrives, and a slow reader has little to catch up on.
    """

    def __init__(self, job_id: str | None, wanted: Callable[[News], bool], *, chatter: bool = False) -> None:
        self.job_id = job_id
        self.wanted = wanted
        self.chatter = chatter
        # Whose conversation reads it, which understands ``said``; None where nobody talks.
        self.caller: Caller | None = None
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._said: deque[News] = deque()
        # Places rather than news, so that what is in a place can be exchanged.
        self._places: deque[list[News]] = deque()
        self._last_place: dict[str, list[News]] = {}
        self._chatter: deque[News] = deque(maxlen=CHATTER)
        self._too_slow = False

    def put(self, news: News) -> None:
        """Adds news of a job, or what the client ``said``; never blocks."""
        with self._lock:
            if "said" in news:
                self._said.append(news)
                self._too_slow |= len(self._said) > SAID
            else:
                self._place(news)
            if self._too_slow:
                # Nobody will read it, and it may be much.
                self._places.clear()
                self._last_place.clear()
        self._arrived.set()

    def chat(self, news: News) -> None:
        """Adds what may be lost: of too much, the oldest gives way."""
        self._chatter.append(news)
        self._arrived.set()

    def wake(self) -> None:
        """Has whoever waits here look around, although there is no news."""
        self._arrived.set()

    def get(self, timeout_seconds: float) -> News | None:
        """The next news, or None when there was none in that time.

        Raises:
            TooSlow: see ``take``.
        """
        taken = self.take(timeout_seconds, most=1)
        return taken[0] if taken else None

    def take(self, timeout_seconds: float, *, most: int = BATCH) -> list[News]:
        """What waits, at most so many; nothing when there was nothing in that time.

        What the client said comes first, chatter last.

        Raises:
            TooSlow: the reader was too far behind; from here on something would be missing.
        """
        if not (self._said or self._places or self._chatter or self._too_slow):
            self._arrived.wait(timeout_seconds)
        self._arrived.clear()
        taken: list[News] = []
        with self._lock:
            if self._too_slow:
                raise TooSlow
            while self._said and len(taken) < most:
                taken.append(self._said.popleft())
            while self._places and len(taken) < most:
                place = self._places.popleft()
                (news,) = place
                if self._last_place.get(news["id"]) is place:
                    del self._last_place[news["id"]]
                taken.append(news)
            while self._chatter and len(taken) < most:
                taken.append(self._chatter.popleft())
        return taken

    def _place(self, news: News) -> None:
        last = self._last_place.get(news["id"])
        if last is not None and last[0]["state"] == news["state"]:
            last[0] = news
        elif len(self._places) >= BACKLOG:
            self._too_slow = True
        else:
            place = [news]
            self._places.append(place)
            self._last_place[news["id"]] = place
