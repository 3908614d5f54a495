"""A client written from a document: once with the credential that the document asks for, once without any."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config.settings import Settings
from tests.conftest import API_KEY, PASSWORD
from tests.contract.document import Document, Request

MANAGEMENT_URL = "http://localhost:8766"
ADMINISTRATION_URL = "http://localhost:7860"
GATEWAY_URL = "http://localhost:8002"


@dataclass(frozen=True)
class Reach:
    """Sends what a document shows, at the document's own port.

    Where a credential is needed, every request is first seen to be refused without it.
    """

    http: FlaskClient
    credential: dict[str, str]
    base_url: str = MANAGEMENT_URL
    # Whether an answer refuses, in the shape of the surface: the answer, its status, its code.
    refused: Callable[[TestResponse, int, str], None] | None = None

    @property
    def closed(self) -> bool:
        """Whether a credential is needed."""
        return bool(self.credential)

    def __call__(
        self,
        request: Request,
        *,
        body: dict[str, Any] | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        public: bool = False,
        **ids: str,
    ) -> TestResponse:
        """The answer to a documented request; a ``public`` one needs no credential anywhere."""
        if self.closed and not public:
            refused = self.send(request, body=body, query=query, headers={}, **ids)
            (self.refused or assert_refused)(refused, 401, "UNAUTHORIZED")
        return self.send(request, body=body, query=query, headers=self.credential | (headers or {}), **ids)

    def send(
        self,
        request: Request,
        *,
        body: dict[str, Any] | None = None,
        query: str = "",
        headers: dict[str, str],
        **ids: str,
    ) -> TestResponse:
        """The answer with exactly these headers beside the documented ones."""
        return self.http.open(
            request.to(**ids) + query,
            method=request.method,
            base_url=self.base_url,
            data=None if body is None else json.dumps(body),
            headers=request.headers | headers,
        )


def routes(http: FlaskClient) -> set[str]:
    """Every route as ``GET /path/{}``; a websocket has the method ``WS``."""
    return {
        template("WS" if rule.websocket else method, re.sub(r"<[^>]+>", "{}", rule.rule))
        for rule in http.application.url_map.iter_rules()
        for method in rule.methods or ()
    }


def template(method: str, target: str) -> str:
    """A documented request as ``routes`` writes it: without its query, whatever its placeholders are called."""
    return f"{method} {re.sub(r'{[^}]*}', '{}', target.partition('?')[0])}"


def assert_refused(answer: TestResponse, status: int, code: str) -> None:
    """Fails unless the answer is an error in exactly the form that management.md shows."""
    shown = Document("management")["Error Responses"].answer
    found = answer.get_json()
    assert answer.status_code == status, found
    assert set(found) == set(shown)
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in shown.items()}
    assert found["code"] == code
    assert found["error"]


@pytest.fixture
def application(configured: Settings, clean: None) -> Iterator[Callable[..., FlaskClient]]:
    """Makes applications with other settings, and takes them down again."""
    from app import create_app

    made = []

    def make(**changed: Any) -> FlaskClient:
        made.append(create_app(dataclasses.replace(configured, **changed)))
        return made[-1].test_client()

    yield make
    for app in made:
        app.extensions["voiceworks"].hub.stop()
        app.extensions["voiceworks"].database.dispose()


@pytest.fixture(params=["closed", "open"])
def reach(request: pytest.FixtureRequest, application: Callable[..., FlaskClient]) -> Reach:
    """A client of management.md, with a credential and, where ``OPEN_SURFACES`` lists the surface, without."""
    if request.param == "open":
        return Reach(application(open_surfaces=frozenset({"management"})), {})
    http = application()
    tokens = http.post("/api/auth/login", json={"username": "client", "password": PASSWORD}).get_json()
    return Reach(http, {"Authorization": f"Bearer {tokens['access_token']}"})


@pytest.fixture(params=["closed", "open"])
def administration(request: pytest.FixtureRequest, application: Callable[..., FlaskClient]) -> Reach:
    """A client of administration.md, with an administrator's key and, where the surface is open, without."""
    if request.param == "open":
        return Reach(application(open_surfaces=frozenset({"administration"})), {}, ADMINISTRATION_URL)
    return Reach(application(), {"X-API-Key": API_KEY}, ADMINISTRATION_URL)


@pytest.fixture(params=["closed", "open"])
def gateway(request: pytest.FixtureRequest, application: Callable[..., FlaskClient]) -> Reach:
    """A client of gateway.md, with an administrator's key and, where the surface is open, without."""
    if request.param == "open":
        return Reach(application(open_surfaces=frozenset({"gateway"})), {}, GATEWAY_URL, gateway_refused)
    return Reach(application(), {"X-API-Key": API_KEY}, GATEWAY_URL, gateway_refused)


def gateway_refused(answer: TestResponse, status: int, code: str) -> None:
    """Fails unless the answer is an error in exactly the form that gateway.md shows."""
    (shown,) = Document("gateway")["Error Responses"].answers
    found = answer.get_json()
    assert answer.status_code == status, found
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in shown.items()}
    assert found["error_code"] == code
    assert found["detail"]
