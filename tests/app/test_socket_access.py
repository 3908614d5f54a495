"""Who may open a socket, from where, how many there may be, and how long one outlives its credential."""

from __future__ import annotations

import pytest
import requests
import websocket

from config.settings import Settings
from models import accounts
from models.db import Database
from tests import making
from tests.conftest import PASSWORD, eventually
from tests.web import Web, serving


def test_a_socket_without_a_good_credential_is_closed_with_4401(web: Web, clean: None) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": "Bearer a.b.c"}):
        assert web.close_code("/ws", header=headers) == 4401
        assert web.close_code("/ws/jobs/anything", header=headers) == 4401
    assert web.close_code("/ws?token=wrong") == 4401


def test_a_browser_may_give_its_token_in_the_address(web: Web, clean: None, customer: dict[str, str]) -> None:
    login = web.post("/api/auth/login", json={"username": "client", "password": PASSWORD}).json()
    with web.socket(f"/ws?token={login['access_token']}") as opened:
        assert opened.next()["type"] == "connected"
    with web.socket(f"/ws?token={customer['X-API-Key']}") as opened:
        assert opened.next()["type"] == "connected"
    # Of the refresh token nobody but the refresh may make use.
    assert web.close_code(f"/ws?token={login['refresh_token']}") == 4401


def test_a_socket_of_the_wrong_role_is_closed_with_4403(web: Web, telling: Database) -> None:
    with telling.transaction() as session:
        agent = accounts.create(session, username="agent", password=PASSWORD, role="agent")
        accounts.store_key(session, agent, name="agent", role="agent", secret="an agent's key")
    assert web.close_code("/ws", header={"X-API-Key": "an agent's key"}) == 4403


def test_the_socket_of_a_job_that_is_not_there_or_not_mine_is_closed_with_4404(
    web: Web, telling: Database, customer: dict[str, str], admin: dict[str, str]
) -> None:
    theirs = making.submit(telling, doorbells=0, account_id="somebody else")
    for unknown in ("nothing", theirs.id, "x" * 3000, "a%01b"):
        assert web.close_code(f"/ws/jobs/{unknown}", header=customer) == 4404
    with web.socket(f"/ws/jobs/{theirs.id}", header=admin) as opened:
        assert opened.next()["type"] == "job.snapshot"


@pytest.mark.parametrize("end", ["the key is revoked", "the account is disabled", "signed out"])
def test_a_socket_outlives_its_credential_by_seconds_only(
    web: Web, clean: None, database: Database, admin: dict[str, str], end: str
) -> None:
    tokens = web.post("/api/auth/login", json={"username": "client", "password": PASSWORD}).json()
    signed_in = {"Authorization": f"Bearer {tokens['access_token']}"}
    made = web.post("/api/auth/keys", json={"name": "k"}, headers=signed_in).json()
    by_key = {"X-API-Key": made["key"]}
    with web.socket("/ws", header=signed_in if end == "signed out" else by_key) as opened:
        assert opened.next()["type"] == "connected"
        if end == "signed out":
            assert web.post("/api/auth/logout", headers=signed_in).ok
        elif end == "the key is revoked":
            assert requests.delete(web.url(f"/api/auth/keys/{made['id']}"), headers=signed_in, timeout=10).ok
        else:
            mine = web.get("/api/auth/me", headers=signed_in).json()["id"]
            disabled = {"disabled": True}
            assert requests.patch(web.url(f"/api/users/{mine}"), json=disabled, headers=admin, timeout=10).ok
        opcode = said = None
        while opcode != websocket.ABNF.OPCODE_CLOSE:
            opcode, said = opened.connection.recv_data()
        assert int.from_bytes(said[:2], "big") == 4401


def test_one_socket_too_many_is_closed_with_4429_and_a_place_is_free_again(
    configured: Settings, clean: None, customer: dict[str, str]
) -> None:
    with serving(configured.var_dir / "log" / "full.log", SOCKETS_MAX="1") as full:
        with full.socket("/ws", header=customer) as opened:
            assert opened.next()["type"] == "connected"
            assert full.close_code("/ws", header=customer) == 4429
        eventually(lambda: full.get("/api/stats", headers=customer).json()["clients_connected"] == 0)
        with full.socket("/ws", header=customer) as opened:
            assert opened.next()["type"] == "connected"


def test_a_foreign_page_may_not_open_a_socket_even_with_a_good_credential(
    web: Web, clean: None, customer: dict[str, str]
) -> None:
    here = f"http://127.0.0.1:{web.port}"
    with web.socket("/ws", header=customer, origin=here) as opened:
        assert opened.next()["type"] == "connected"
    for foreign in ("https://evil.example", "null", f"{here}.evil.example", "http://127.0.0.1", "file://"):
        assert web.close_code("/ws", header=customer, origin=foreign) == 4403, foreign


@pytest.mark.parametrize("page", ["http://localhost:3000", "http://localhost:3001"])
def test_the_documented_pages_may_open_sockets_too(web: Web, clean: None, customer: dict[str, str], page: str) -> None:
    with web.socket("/ws", header=customer, origin=page) as opened:
        assert opened.next()["type"] == "connected"


def test_a_plain_request_to_a_socket_is_refused_without_harm(web: Web, clean: None, customer: dict[str, str]) -> None:
    for path in ("/ws", "/ws/jobs/nothing"):
        for headers in (customer, {}):
            answer = web.get(path, headers=headers)
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["code"]
    with (
        pytest.raises(websocket.WebSocketBadStatusException, match="404"),
        web.socket("/ws/nothing", header=customer),
    ):
        pass
