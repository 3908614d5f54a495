"""decisions.md: signing in, tickets, and the end of a session."""

from __future__ import annotations

import re
from typing import Any

from tests.conftest import PASSWORD
from tests.contract.conftest import Reach, assert_refused
from tests.contract.document import Document, Request, assert_shaped
from tests.contract.headings import MANAGEMENT

DECISIONS = Document("decisions")
JSON = {"Content-Type": "application/json"}
LOGIN = MANAGEMENT["Get Token"]


def signed_in(reach: Reach) -> dict[str, Any]:
    answer = reach.send(LOGIN.request, body=LOGIN.request.body(username="client", password=PASSWORD), headers={})
    return dict(answer.get_json())


def test_tokens_are_refreshed_once_and_end_with_the_sign_in(reach: Reach) -> None:
    tokens = signed_in(reach)
    (field,) = re.findall(r"`POST /api/auth/refresh \{(\w+)\}`", DECISIONS.text)
    refresh = Request("POST", "/api/auth/refresh", JSON)
    first = reach.send(refresh, body={field: tokens["refresh_token"]}, headers={})
    assert first.status_code == 200
    assert_shaped(first.get_json(), LOGIN.answer)
    bearer = {"Authorization": f"Bearer {first.get_json()['access_token']}"}
    logout = Request("POST", "/api/auth/logout", JSON)
    assert reach.send(logout, body={}, headers=bearer).status_code == 200
    assert_refused(reach.send(MANAGEMENT["Statistics"].request, headers=bearer), 401, "UNAUTHORIZED")
    again = reach.send(refresh, body={field: first.get_json()["refresh_token"]}, headers={})
    assert_refused(again, 401, "UNAUTHORIZED")


def test_a_ticket_is_what_the_page_promises(reach: Reach) -> None:
    (seconds,) = re.findall(r"\{ticket, expires_in: (\d+)\}", DECISIONS.text)
    answer = reach(Request("POST", "/api/auth/ws-ticket"))
    assert answer.status_code == 200
    assert set(answer.get_json()) == {"ticket", "expires_in"}
    assert answer.get_json()["expires_in"] == int(seconds)


def test_deleting_a_session_ends_it(reach: Reach) -> None:
    made = reach(Request("POST", "/api/sessions", JSON), body={"user_id": "user_123"}).get_json()
    ended = reach(Request("DELETE", "/api/sessions/{id}"), id=made["id"])
    assert (ended.status_code, set(ended.get_json())) == (200, {"message"})
    found = reach(MANAGEMENT["Get Session"].request, id=made["id"]).get_json()
    assert found["ended_at"] is not None
