"""Whose sockets are open, over all web processes: counted here from what they tell each other by Redis.

Each process keeps the ids of its sockets in Redis, under a key that expires, and publishes who came and went; the
others keep a copy. Whatever a copy misses (a lost message, a process that was killed) the next look at Redis mends.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any, cast

import redis

from models import redis_keys

CAME, WENT = "client_connected", "client_disconnected"
# Of each kind, told to watchers at once. When a thousand come in a second, the count says it better than they.
HANDFUL = 3


class Presence:
    """The ids of the sockets of every web process; safe to be used by several threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._lock = threading.Lock()
        # One writes at a time: what is renewed must not undo what is told at the same moment.
        self._writing = threading.Lock()
        # Of this process, once it has begun: the app was made before the fork.
        self._process_id = ""
        self._sockets: dict[str, set[str]] = {}
        # Not yet told to the other processes, and not yet to those who watch here.
        self._untold: dict[str, list[str]] = {CAME: [], WENT: []}
        self._news: list[tuple[str, str]] = []

    def begin(self, process_id: str) -> None:
        """This is the process of that id."""
        self._process_id = process_id
        self._sockets.setdefault(process_id, set())

    def came(self, client_id: str) -> None:
        """A socket was opened here."""
        self._change(self._process_id, came=[client_id])
        with self._lock:
            self._untold[CAME].append(client_id)

    def went(self, client_id: str) -> None:
        """A socket of this process is closed."""
        self._change(self._process_id, went=[client_id])
        with self._lock:
            self._untold[WENT].append(client_id)

    def count(self) -> int:
        """How many sockets all web processes hold."""
        return sum(len(ids) for ids in list(self._sockets.values()))

    def count_here(self) -> int:
        """How many sockets this process holds."""
        return len(self._sockets.get(self._process_id, ()))

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """Who came and went since the last time, in order: the newest of each kind, with the present count."""
        with self._lock:
            news, self._news = self._news, []
        chosen: list[tuple[str, str]] = []
        for kind in (CAME, WENT):
            chosen += [each for each in news if each[0] == kind][-HANDFUL:]
        count = self.count()
        chosen.sort(key=news.index)
        return [(kind, {"client_id": client_id, "clients_connected": count}) for kind, client_id in chosen]

    def tell(self) -> None:
        """Tells the other processes who came and went here since the last time, in one round trip."""
        with self._writing:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            untold, self._untold = self._untold, {CAME: [], WENT: []}
        if not any(untold.values()):
            return
        key = redis_keys.presence(self._process_id)
        with self._redis.pipeline(transaction=False) as pipe:
            if untold[CAME]:
                pipe.sadd(key, *untold[CAME])
                pipe.sadd(redis_keys.PRESENT, self._process_id)
            if untold[WENT]:
                pipe.srem(key, *untold[WENT])
            pipe.expire(key, redis_keys.PRESENCE_SECONDS)
            pipe.publish(redis_keys.PRESENCE_EVENTS, json.dumps({"process": self._process_id, **untold}))
            pipe.execute()

    def hear(self, message: dict[str, Any]) -> None:
        """Takes in what a process told; one's own is known already."""
        if message["process"] != self._process_id:
            self._change(message["process"], came=message[CAME], went=message[WENT])

    def renew(self) -> None:
        """Says that this process is still there, and which sockets it holds; also after Redis forgot."""
        key = redis_keys.presence(self._process_id)
        with self._writing, self._redis.pipeline() as pipe:
            with self._lock:
                own = list(self._sockets[self._process_id])
            pipe.delete(key)
            if own:
                pipe.sadd(key, *own)
                pipe.expire(key, redis_keys.PRESENCE_SECONDS)
                pipe.sadd(redis_keys.PRESENT, self._process_id)
            pipe.execute()

    def look(self) -> None:
        """Compares the copies with Redis, and lets go of the sockets of processes that are gone."""
        told = {str(each, "ascii") for each in cast(set[bytes], self._redis.smembers(redis_keys.PRESENT))}
        others = sorted((told | set(self._sockets)) - {self._process_id})
        if not others:
            return
        counts = self._redis_each("scard", others)
        differ = [other for other, count in counts.items() if count != len(self._sockets.get(other, ()))]
        for other, members in self._redis_each("smembers", differ).items():
            present = {each.decode() for each in members}
            known = self._sockets.get(other, set())
            self._change(other, came=present - known, went=known - present)
        gone = [other for other in others if not self._sockets.get(other)]
        with self._lock:
            for other in gone:
                self._sockets.pop(other, None)
        if forgotten := told & set(gone):
            self._redis.srem(redis_keys.PRESENT, *forgotten)

    def leave(self) -> None:
        """This process ends: whatever it still held is closed."""
        with self._lock:
            self._untold[WENT] += self._sockets.get(self._process_id, ())
        self.tell()

    def _redis_each(self, command: str, process_ids: list[str]) -> dict[str, Any]:
        if not process_ids:
            return {}
        with self._redis.pipeline(transaction=False) as pipe:
            for process_id in process_ids:
                getattr(pipe, command)(redis_keys.presence(process_id))
            return dict(zip(process_ids, pipe.execute(), strict=True))

    def _change(self, process_id: str, came: Iterable[str] = (), went: Iterable[str] = ()) -> None:
        with self._lock:
            known = self._sockets.setdefault(process_id, set())
            new = [client_id for client_id in came if client_id not in known]
            gone = [client_id for client_id in went if client_id in known]
            known.update(new)
            known.difference_update(gone)
            self._news += [(CAME, client_id) for client_id in new] + [(WENT, client_id) for client_id in gone]
