"""What may be lost: log lines of every process, and who comes and goes, gathered for a moment and said in one go."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection

from app.sockets.frames import frame
from app.sockets.presence import Presence
from app.sockets.subscription import News, Subscription
from models.base import iso, utc_now

# A moment is longer where much is said to many: each costs each socket one send.
MOMENT_SECONDS, MOMENT_SECONDS_A_SOCKET = 0.25, 0.0005
# Log lines told in one moment, the newest.
LINES = 50


class Chatter:
    """Gathers for the sockets among ``subscriptions`` that want it."""

    def __init__(self, presence: Presence, subscriptions: Collection[Subscription]) -> None:
        self._presence = presence
        self._subscriptions = subscriptions
        self._lines: deque[News] = deque()
        self._left_out = 0
        self._stirred = threading.Event()

    def stir(self) -> None:
        """Something is to be told."""
        self._stirred.set()

    def hear(self, lines: list[News]) -> None:
        """Log lines of some process."""
        if not self._watching():
            return
        self._lines.extend(lines)
        while len(self._lines) > LINES:
            self._lines.popleft()
            self._left_out += 1
        self._stirred.set()

    def gather(self, stopped: threading.Event) -> None:
        """Returns a moment after something was stirred."""
        self._stirred.wait()
        stopped.wait(MOMENT_SECONDS + MOMENT_SECONDS_A_SOCKET * len(self._subscriptions))
        self._stirred.clear()

    def hand_out(self) -> None:
        """Says what was gathered, to each as one piece."""
        said = self._presence.news()
        if self._left_out:
            said.append(("log_entry", _left_out(self._left_out)))
            self._left_out = 0
        said += [("log_entry", self._lines.popleft()) for _ in range(len(self._lines))]
        watching = self._watching()
        if said and watching:
            lines = [data for kind, data in said if kind == "log_entry"]
            news = {"frame": b"".join(frame(kind, data) for kind, data in said), "lines": lines}
            for subscription in watching:
                subscription.chat(news)

    def _watching(self) -> list[Subscription]:
        return [subscription for subscription in list(self._subscriptions) if subscription.chatter]


def _left_out(count: int) -> News:
    message = f"{count} lines were left out here; the logs of the processes have them."
    return {
        "timestamp": iso(utc_now()),
        "level": "WARNING",
        "logger": __name__,
        "message": message,
        "request_id": None,
    }
