"""Which headings of transcription.md have a test: each test says for which it answers. A client of the document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.contract.answering import Titles
from tests.contract.document import Document, Request

TRANSCRIPTION = Document("transcription")
TRANSCRIPTION_URL = "http://localhost:8010"

_LINE = re.compile(r"\*\*(GET|POST)\*\* `(\S+)`")


def request_of(title: str) -> Request:
    """The request that a heading shows, which this document writes into its text."""
    (found,) = [line for line in map(_LINE.match, TRANSCRIPTION[title].prose) if line]
    return Request(found[1], found[2])


def statuses(title: str) -> set[int]:
    """The statuses that a heading promises."""
    return {int(found[1]) for bullet in TRANSCRIPTION[title].bullets if (found := re.match(r"`(\d+) ", bullet))}


# What stands under these headings promises nothing that could be asked for, or says what a server might be.
titles = Titles(TRANSCRIPTION, {"Rate Limiting", "Webhooks"})
documented = titles.documented


@dataclass(frozen=True)
class Client:
    """Sends what the document shows, at its port; first without the key, which is refused."""

    http: FlaskClient
    key: str

    def __call__(self, request: Request, *, json: Any = None, query: str = "", **ids: str) -> TestResponse:
        """The answer to a documented request."""
        for headers in ({}, {"X-API-Key": "not-the-key"}):
            assert_refused(self.send(request, headers, json=json, query=query, **ids), 401, "Invalid API key")
        return self.send(request, {"X-API-Key": self.key}, json=json, query=query, **ids)

    def send(
        self, request: Request, headers: dict[str, str], *, json: Any = None, query: str = "", **ids: str
    ) -> TestResponse:
        """The answer with exactly these headers."""
        return self.http.open(
            request.to(**ids) + query, method=request.method, base_url=TRANSCRIPTION_URL, json=json, headers=headers
        )


def assert_refused(answer: TestResponse, status: int, detail: str = "") -> None:
    """Fails unless the answer is an error in exactly the form that the document shows."""
    found = answer.get_json()
    assert answer.status_code == status, found
    assert list(found) == ["detail"]
    assert found["detail"].startswith(detail) if detail else found["detail"]
