"""Which headings of wakewords.md have a test: each test says for which it answers. A client of the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.contract.answering import Titles
from tests.contract.document import Document, Request

WAKEWORDS = Document("wakewords")
WAKEWORDS_URL = "http://localhost:8000"

# What stands under these headings promises nothing that could be asked for.
titles = Titles(WAKEWORDS, {"API Endpoints"})
documented = titles.documented


@dataclass(frozen=True)
class Client:
    """Sends what the document shows, at its port; where a credential is needed, first without it, which is refused."""

    http: FlaskClient
    credential: dict[str, str]

    def __call__(self, request: Request, *, query: str = "", form: Any = None, json: Any = None, **ids: str) -> Any:
        """The answer to a documented request."""
        if self.credential:
            assert_refused(self.send(request, {}, query=query, **ids), 401, "unauthorized")
        return self.send(request, self.credential, query=query, form=form, json=json, **ids)

    def send(
        self,
        request: Request,
        headers: dict[str, str],
        *,
        query: str = "",
        form: Any = None,
        json: Any = None,
        **ids: str,
    ) -> TestResponse:
        """The answer with exactly these headers."""
        return self.http.open(
            request.to(**ids) + query,
            method=request.method,
            base_url=WAKEWORDS_URL,
            data=form,
            json=json,
            content_type="multipart/form-data" if form is not None else None,
            headers=headers,
        )


def assert_refused(answer: TestResponse, status: int, error: str) -> None:
    """Fails unless the answer is an error in exactly the form that the document shows."""
    shown = WAKEWORDS["Error Responses"].answer
    found = answer.get_json()
    assert answer.status_code == status, found
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in shown.items()}
    assert found["error"] == error
    assert found["message"]
