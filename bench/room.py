"""What measures have to measure with: each thing is started when it is first asked for, and ended with the room."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType

from bench.bare import Bare
from bench.lone_engine import LoneEngine
from bench.peers import PEERS, HttpServer, Peer
from bench.service import Service
from bench.speakers import Speaker

ENGINES = ("piper", "hibari")
# By name: the figures of one repeat.
Figures = dict[str, float]


class Room:
    """Ours, the peers and the bare engines, side by side on one machine. ``repeat`` counts from 0."""

    def __init__(self, *, mixed: int) -> None:
        self.repeat = 0
        self.mixed = mixed
        self._stack = ExitStack()
        self._bare: dict[tuple[str, int], Bare] = {}

    def __enter__(self) -> Room:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @cached_property
    def ours(self) -> Service:
        """Voiceworks."""
        found = self._stack.enter_context(Service(TRUSTED_PROXIES="127.0.0.1", X_ACCEL_PREFIX="/stored/"))
        found.await_all_workers()
        return found

    @cached_property
    def peers(self) -> tuple[Peer, ...]:
        """Piper's servers, each of which has spoken once."""
        found = tuple(self._stack.enter_context(peer()) for peer in PEERS)
        for peer in found:
            peer.speaker().speak("Ready.")
        return found

    @cached_property
    def http_server(self) -> Peer:
        """The one among them that memory is compared with."""
        return next(peer for peer in self.peers if isinstance(peer, HttpServer))

    @cached_property
    def lone_engine(self) -> LoneEngine:
        """Our piper engine without the server around it."""
        return self._stack.enter_context(LoneEngine())

    def bare(self, engine: str, count: int = 2) -> list[Bare]:
        """So many processes of an engine, with one thread each."""
        for number in range(count):
            if (engine, number) not in self._bare:
                self._bare[engine, number] = self._stack.enter_context(Bare(engine))
        return [self._bare[engine, number] for number in range(count)]

    def all_with_piper(self) -> list[tuple[str, Service | Peer, Callable[[], Speaker]]]:
        """Ours and the peers by name, with what makes a client; in another order each time."""
        found: list[tuple[str, Service | Peer, Callable[[], Speaker]]] = [
            ("ours", self.ours, lambda: self.ours.speaker("piper"))
        ]
        found += [(peer.name, peer, peer.speaker) for peer in self.peers]
        turn = self.repeat % len(found)
        return found[turn:] + found[:turn]
