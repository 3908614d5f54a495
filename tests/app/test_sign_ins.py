"""Sign-ins: refresh tokens that are good once, and everything that ends a sign-in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from models import sign_ins, tickets
from models.accounts import Account, Caller
from models.db import Database
from models.sign_ins import SignIn
from tests.conftest import CLIENT_KEY, PASSWORD, eventually
from tests.web import Web

Tokens = dict[str, Any]


def sign_in(client: FlaskClient, username: str = "client", password: str = PASSWORD) -> Tokens:
    answer = client.post("/api/auth/login", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def bearer(tokens: Tokens) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def refreshed(client: FlaskClient, token: str) -> Any:
    return client.post("/api/auth/refresh", json={"refresh_token": token})


def opens(client: FlaskClient, tokens: Tokens) -> bool:
    return client.get("/api/auth/me", headers=bearer(tokens)).status_code == 200


def test_a_refresh_token_gives_new_tokens_and_the_old_access_token_stays_good(client: FlaskClient) -> None:
    first = sign_in(client)
    answer = refreshed(client, first["refresh_token"])
    assert answer.status_code == 200
    second = answer.get_json()
    assert set(second) == {"access_token", "refresh_token", "expires_in"}
    assert second["refresh_token"] != first["refresh_token"]
    assert opens(client, first)
    assert opens(client, second)
    assert refreshed(client, second["refresh_token"]).status_code == 200


def test_a_refresh_token_that_comes_twice_ends_the_sign_in_for_whoever_holds_its_tokens(client: FlaskClient) -> None:
    stolen = sign_in(client)
    other = sign_in(client)
    owner = refreshed(client, stolen["refresh_token"]).get_json()
    thief = refreshed(client, stolen["refresh_token"])
    assert (thief.status_code, thief.get_json()["code"]) == (401, "UNAUTHORIZED")
    assert "used before" in thief.get_json()["error"]
    assert not opens(client, owner)
    assert refreshed(client, owner["refresh_token"]).status_code == 401
    # Another sign-in of the same account is not touched.
    assert opens(client, other)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", CLIENT_KEY])
def test_what_is_no_refresh_token_refreshes_nothing(client: FlaskClient, token: str) -> None:
    answer = refreshed(client, token)
    assert answer.status_code == (400 if not token else 401)


def test_an_access_token_is_no_refresh_token_and_ends_nothing(client: FlaskClient) -> None:
    tokens = sign_in(client)
    assert refreshed(client, tokens["access_token"]).status_code == 401
    assert opens(client, tokens)


def test_a_sign_in_that_was_not_refreshed_in_time_is_over(client: FlaskClient, database: Database) -> None:
    tokens = sign_in(client)
    with database.transaction() as session:
        long_ago = func.now() - timedelta(days=1)
        session.execute(update(SignIn).values(expires_at=long_ago))
    assert refreshed(client, tokens["refresh_token"]).status_code == 401
    with database.transaction() as session:
        sign_ins.forget_old(session)
        assert session.scalars(select(SignIn)).all() == []


def test_signing_out_ends_both_tokens(client: FlaskClient) -> None:
    tokens, other = sign_in(client), sign_in(client)
    assert client.post("/api/auth/logout", headers=bearer(tokens)).get_json() == {"message": "Signed out."}
    assert not opens(client, tokens)
    assert refreshed(client, tokens["refresh_token"]).status_code == 401
    body = {"refresh_token": other["refresh_token"]}
    third = sign_in(client)
    assert client.post("/api/auth/logout", json=body, headers=bearer(third)).status_code == 200
    assert (opens(client, other), opens(client, third)) == (False, True)


def test_nobody_signs_out_somebody_else_and_a_key_has_nothing_to_end(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    theirs, mine = sign_in(client), sign_in(client, "admin")
    body = {"refresh_token": theirs["refresh_token"]}
    assert client.post("/api/auth/logout", json=body, headers=bearer(mine)).status_code == 400
    assert opens(client, theirs)
    refused = client.post("/api/auth/logout", headers=admin)
    assert (refused.status_code, refused.get_json()["code"]) == (400, "VALIDATION_ERROR")


def test_a_new_password_ends_every_other_sign_in(client: FlaskClient) -> None:
    here, elsewhere = sign_in(client), sign_in(client)
    body = {"old_password": PASSWORD, "new_password": "another long one"}
    assert client.post("/api/auth/password", json=body, headers=bearer(here)).status_code == 200
    assert (opens(client, here), opens(client, elsewhere)) == (True, False)
    assert refreshed(client, elsewhere["refresh_token"]).status_code == 401


@pytest.mark.parametrize("change", [{"password": "set by the admin"}, {"disabled": True}], ids=str)
def test_what_an_administrator_changes_ends_all_sign_ins(
    client: FlaskClient, admin: dict[str, str], database: Database, change: dict[str, Any]
) -> None:
    tokens = sign_in(client)
    with database.transaction() as session:
        account = session.scalars(select(Account).where(Account.username == "client")).one()
    assert client.patch(f"/api/users/{account.id}", json=change, headers=admin).status_code == 200
    assert not opens(client, tokens)
    # Enabling it again does not bring what was stolen back to life.
    client.patch(f"/api/users/{account.id}", json={"disabled": False}, headers=admin)
    assert not opens(client, tokens)


def test_the_use_of_a_key_is_shown(client: FlaskClient, customer: dict[str, str]) -> None:
    assert client.get("/api/auth/keys", headers=customer).get_json()["keys"][0]["last_used_at"] is None
    client.application.extensions["voiceworks"].hub.start()
    used = eventually(lambda: client.get("/api/auth/keys", headers=customer).get_json()["keys"][0]["last_used_at"])
    assert used.endswith("Z")


# --- Tickets ----------------------------------------------------------------------------------------------------------


def test_a_ticket_opens_one_socket_once(web: Web, clean: None) -> None:
    answer = web.post("/api/auth/ws-ticket", headers={"X-API-Key": CLIENT_KEY})
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 30
    ticket = answer.json()["ticket"]
    with web.socket(f"/ws?ticket={ticket}") as opened:
        assert opened.next()["type"] == "connected"
    assert web.close_code(f"/ws?ticket={ticket}") == 4401
    assert web.close_code("/ws?ticket=never-was") == 4401


def test_a_ticket_opens_nothing_but_sockets(web: Web, clean: None) -> None:
    ticket = web.post("/api/auth/ws-ticket", headers={"X-API-Key": CLIENT_KEY}).json()["ticket"]
    assert web.get(f"/api/auth/me?ticket={ticket}").status_code == 401
    with web.socket(f"/ws?ticket={ticket}") as opened:
        assert opened.next()["type"] == "connected"


def test_a_ticket_opens_nothing_for_who_has_signed_out(web: Web, clean: None) -> None:
    body = {"username": "client", "password": PASSWORD}
    headers = bearer(web.post("/api/auth/login", json=body).json())
    tickets_given = [web.post("/api/auth/ws-ticket", headers=headers).json()["ticket"] for _ in range(2)]
    with web.socket(f"/ws?ticket={tickets_given[0]}") as opened:
        assert opened.next()["type"] == "connected"
    assert web.post("/api/auth/logout", json={}, headers=headers).status_code == 200
    assert web.close_code(f"/ws?ticket={tickets_given[1]}") == 4401


def test_a_ticket_opens_nothing_for_whose_account_is_disabled(web: Web, clean: None, database: Database) -> None:
    ticket = web.post("/api/auth/ws-ticket", headers={"X-API-Key": CLIENT_KEY}).json()["ticket"]
    with database.transaction() as session:
        session.execute(update(Account).where(Account.username == "client").values(disabled=True))
    assert web.close_code(f"/ws?ticket={ticket}") == 4401


def test_a_ticket_is_not_kept_as_it_is_given(queue: Any, empty: None) -> None:
    ticket = tickets.issue(queue, Caller("a", "ada", "client"))
    assert ticket.encode() not in b" ".join(queue.keys("*"))
    (key,) = queue.keys("ticket:*")
    assert 0 < queue.ttl(key) <= 30
    assert tickets.redeem(queue, ticket) == Caller("a", "ada", "client")
    assert tickets.redeem(queue, ticket) is None
