"""A service that answers as a test says, path by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.outside.calling import client_of
from tests.outside.server import Answer, Asked, Outside, as_json
from workers.clients.service import Client


class Scripted(Outside):
    """Answers each path by what a test says; several answers come in order, the last of them for ever."""

    def __init__(self, **options: Any) -> None:
        self.script: dict[str, list[Answer | Callable[[Asked], Answer]]] = {}
        super().__init__(**options)

    def says(self, path: str, *answers: Answer | Callable[[Asked], Answer]) -> None:
        """What is answered there from now on."""
        self.script[path] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        """What it was told to."""
        found = self.script.get(asked.path, [as_json({"message": "Nothing here."}, 404)])
        answer = found.pop(0) if len(found) > 1 else found[0]
        return answer(asked) if callable(answer) else answer


def reach(site: Outside, **options: Any) -> Client:
    """A client of a service without tools of its own."""
    return client_of("generic_http", site.url, **options)


def broken_off() -> Answer:
    """Nothing at all, and the connection is closed."""
    return Answer(status=0)
