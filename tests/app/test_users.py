"""Accounts by API: users for administrators; password and keys for everybody."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.api import auth
from models import accounts, users
from models.db import Database
from models.errors import Conflict
from models.sign_ins import SignIn
from tests import making
from tests.conftest import PASSWORD

NEW = {"username": "ada", "password": "a long password", "role": "operator", "email": "ada@example.org"}
Headers = dict[str, str]


def create(client: FlaskClient, admin: Headers, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/users", json=NEW | fields, headers=admin)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def signed_in(client: FlaskClient, username: str = "ada", password: str = "a long password") -> Headers | None:
    answer = client.post("/api/auth/login", json={"username": username, "password": password})
    return {"Authorization": f"Bearer {answer.get_json()['access_token']}"} if answer.status_code == 200 else None


def test_a_new_user_signs_in_and_is_who_was_made(client: FlaskClient, admin: Headers) -> None:
    made = create(client, admin)
    assert "password" not in str(made)
    mine = client.get("/api/auth/me", headers=signed_in(client)).get_json()
    assert made == client.get(f"/api/users/{made['id']}", headers=admin).get_json()
    assert mine == made | {"agent_id": None}
    listed = client.get("/api/users", headers=admin).get_json()
    assert ([user["username"] for user in listed["users"]], listed["total"]) == (["ada", "admin", "client"], 3)


def test_a_name_is_given_once(client: FlaskClient, admin: Headers) -> None:
    create(client, admin)
    again = client.post("/api/users", json=NEW, headers=admin)
    assert (again.status_code, again.get_json()["code"]) == (409, "CONFLICT")
    assert "'ada'" in again.get_json()["error"]


def test_a_changed_user_is_changed_at_once(client: FlaskClient, admin: Headers) -> None:
    made, headers = create(client, admin), signed_in(client)
    path = f"/api/users/{made['id']}"
    assert client.patch(path, json={"role": "client", "email": None}, headers=admin).get_json()["role"] == "client"
    assert client.get("/api/auth/me", headers=headers).get_json()["role"] == "client"
    client.patch(path, json={"password": "another long one"}, headers=admin)
    assert signed_in(client) is None
    assert signed_in(client, password="another long one") is not None
    client.patch(path, json={"disabled": True}, headers=admin)
    assert client.get("/api/auth/me", headers=headers).status_code == 401
    assert signed_in(client, password="another long one") is None


def test_a_removed_user_and_the_keys_open_nothing(client: FlaskClient, admin: Headers) -> None:
    made, headers = create(client, admin), signed_in(client)
    key = client.post("/api/auth/keys", json={"name": "k"}, headers=headers).get_json()["key"]
    assert client.delete(f"/api/users/{made['id']}", headers=admin).status_code == 200
    assert client.get("/api/auth/me", headers=headers).status_code == 401
    assert client.get("/api/auth/me", headers={"X-API-Key": key}).status_code == 401
    assert client.get(f"/api/users/{made['id']}", headers=admin).status_code == 404


@pytest.mark.parametrize("change", [{"role": "operator"}, {"disabled": True}, None])
def test_the_last_administrator_stays(client: FlaskClient, admin: Headers, change: dict[str, Any] | None) -> None:
    mine = client.get("/api/auth/me", headers=admin).get_json()["id"]
    path = f"/api/users/{mine}"
    refused = client.delete(path, headers=admin) if change is None else client.patch(path, json=change, headers=admin)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    second = create(client, admin, role="admin")
    allowed = client.delete(path, headers=admin) if change is None else client.patch(path, json=change, headers=admin)
    assert allowed.status_code == 200
    assert second["role"] == "admin"


def test_of_two_administrators_who_leave_at_once_one_stays(database: Database) -> None:
    with database.transaction() as session:
        ids = [accounts.create(session, username=name, password=PASSWORD, role="admin").id for name in "ab"]

    def leave(number: int) -> bool:
        try:
            with database.transaction() as session:
                users.change(session, ids[number], {"role": "client"})
        except Conflict:
            return False
        return True

    assert sorted(making.at_once(2, leave)) == [False, True]


@pytest.mark.parametrize("change", [{"password_hash": "another"}, {"disabled": True}, None], ids=str)
def test_who_is_changed_while_the_password_is_looked_at_does_not_sign_in(
    client: FlaskClient, admin: Headers, database: Database, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    user = create(client, admin)

    def offload(check: Any, *args: Any) -> Any:
        fits = check(*args)
        with database.transaction() as session:
            if change is None:
                users.remove(session, user["id"])
            else:
                users.change(session, user["id"], change)
        return fits

    monkeypatch.setattr(auth, "offload", offload)
    answer = client.post("/api/auth/login", json={"username": "ada", "password": NEW["password"]})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "UNAUTHORIZED")
    with database.transaction() as session:
        open_ones = select(func.count()).where(SignIn.account_id == user["id"], SignIn.ended_at.is_(None))
        assert session.scalar(open_ones) == 0


def test_a_password_is_changed_by_who_knows_it(client: FlaskClient, admin: Headers) -> None:
    create(client, admin)
    headers = signed_in(client)
    body = {"old_password": "not this one", "new_password": "the next password"}
    wrong = client.post("/api/auth/password", json=body, headers=headers)
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "VALIDATION_ERROR")
    short = client.post(
        "/api/auth/password", json=body | {"old_password": NEW["password"], "new_password": "x"}, headers=headers
    )
    assert (short.status_code, "at least 8" in short.get_json()["error"]) == (400, True)
    right = client.post("/api/auth/password", json=body | {"old_password": NEW["password"]}, headers=headers)
    assert right.status_code == 200
    assert signed_in(client) is None
    assert signed_in(client, password="the next password") is not None


def test_a_key_is_shown_once_and_opens_until_it_is_revoked(client: FlaskClient, admin: Headers) -> None:
    create(client, admin)
    headers = signed_in(client)
    made = client.post("/api/auth/keys", json={"name": "robot", "expires_at": "2999-01-01T00:00:00Z"}, headers=headers)
    assert made.status_code == 201
    key = made.get_json()
    assert (key["role"], key["expires_at"]) == ("operator", "2999-01-01T00:00:00Z")
    opened = client.get("/api/auth/me", headers={"X-API-Key": key["key"]})
    assert (opened.status_code, opened.get_json()["username"]) == (200, "ada")
    (listed,) = client.get("/api/auth/keys", headers=headers).get_json()["keys"]
    assert listed == {name: value for name, value in key.items() if name != "key"}
    assert client.delete(f"/api/auth/keys/{key['id']}", headers=headers).status_code == 200
    assert client.get("/api/auth/me", headers={"X-API-Key": key["key"]}).status_code == 401


def test_an_expired_key_opens_nothing(client: FlaskClient, customer: Headers) -> None:
    body = {"name": "old", "expires_at": "2001-01-01T00:00:00+00:00"}
    key = client.post("/api/auth/keys", json=body, headers=customer).get_json()["key"]
    assert client.get("/api/auth/me", headers={"X-API-Key": key}).status_code == 401


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2030-01-01T00:00:00", "soon", 5]
)
def test_a_key_that_expires_at_no_time_is_refused_by_name(client: FlaskClient, customer: Headers, moment: Any) -> None:
    answer = client.post("/api/auth/keys", json={"name": "k", "expires_at": moment}, headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert "expires_at" in answer.get_json()["error"]
    assert str(moment) in answer.get_json()["error"]


def test_nobody_gives_a_role_they_have_not(client: FlaskClient, admin: Headers, customer: Headers) -> None:
    refused = client.post("/api/auth/keys", json={"name": "k", "role": "admin"}, headers=customer)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "FORBIDDEN")
    given = client.post("/api/auth/keys", json={"name": "k", "role": "agent"}, headers=admin)
    assert given.get_json()["role"] == "agent"


def test_an_operators_key_may_be_less_and_stays_less(client: FlaskClient, admin: Headers) -> None:
    made, headers = create(client, admin), signed_in(client)
    body = {"name": "k", "role": "client"}
    key = {"X-API-Key": client.post("/api/auth/keys", json=body, headers=headers).get_json()["key"]}
    assert client.get("/api/auth/me", headers=key).get_json()["role"] == "client"
    # Nor does a key rise when its account is lowered.
    client.patch(f"/api/users/{made['id']}", json={"role": "admin"}, headers=admin)
    assert client.get("/api/auth/me", headers=key).get_json()["role"] == "client"
    assert client.get("/api/users", headers=key).status_code == 403


def test_a_key_revokes_none_that_may_more_than_itself(client: FlaskClient, admin: Headers) -> None:
    create(client, admin)
    owner = signed_in(client)

    def made(role: str) -> dict[str, Any]:
        answer = client.post("/api/auth/keys", json={"name": role, "role": role}, headers=owner)
        return dict(answer.get_json())

    more, less, other = made("operator"), made("client"), made("client")
    lesser = {"X-API-Key": less["key"]}
    refused = client.delete(f"/api/auth/keys/{more['id']}", headers=lesser)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "FORBIDDEN")
    assert client.get("/api/auth/me", headers={"X-API-Key": more["key"]}).status_code == 200
    assert client.delete(f"/api/auth/keys/{other['id']}", headers=lesser).status_code == 200
    assert client.delete(f"/api/auth/keys/{more['id']}", headers=owner).status_code == 200


def test_whose_a_transcribers_key_is_says_an_administrator(
    client: FlaskClient, admin: Headers, customer: Headers
) -> None:
    body = {"name": "k", "role": "agent", "agent_id": 7}
    made = client.post("/api/auth/keys", json=body, headers=admin).get_json()
    assert made["agent_id"] == 7
    mine = client.get("/api/auth/me", headers={"X-API-Key": made["key"]}).get_json()
    assert (mine["role"], mine["agent_id"]) == ("agent", 7)
    assert client.post("/api/auth/keys", json={"name": "k", "agent_id": 7}, headers=customer).status_code == 403
    bad = client.post("/api/auth/keys", json=body | {"agent_id": -1}, headers=admin)
    assert (bad.status_code, "agent_id" in bad.get_json()["error"]) == (400, True)


def test_a_key_does_no_more_than_its_owner_may_now(client: FlaskClient, admin: Headers) -> None:
    made = create(client, admin)
    key = {"X-API-Key": client.post("/api/auth/keys", json={"name": "k"}, headers=signed_in(client)).get_json()["key"]}
    client.patch(f"/api/users/{made['id']}", json={"role": "client"}, headers=admin)
    assert client.get("/api/auth/me", headers=key).get_json()["role"] == "client"


def test_another_s_key_is_not_there(client: FlaskClient, admin: Headers, customer: Headers) -> None:
    create(client, admin)
    key = client.post("/api/auth/keys", json={"name": "k"}, headers=signed_in(client)).get_json()
    assert client.delete(f"/api/auth/keys/{key['id']}", headers=customer).status_code == 404
    assert client.delete(f"/api/auth/keys/{key['id']}", headers=admin).status_code == 200


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"username": " "}, "username"),
        ({"password": "short"}, "at least 8"),
        ({"role": "king"}, "'king'"),
        ({"email": 7}, "email"),
        ({"username": "a\0b"}, "NUL"),
        ({"username": "a\nb"}, "username: 'a\\nb'"),
        ({"username": "a\x1b[2Jb"}, "username"),
        ({"username": "a\u2028b"}, "username"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_user_is_refused_by_name(client: FlaskClient, admin: Headers, fields: dict[str, Any], named: str) -> None:
    answer = client.post("/api/users", json=NEW | fields, headers=admin)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    assert named in answer.get_json()["error"]
    assert client.get("/api/users", headers=admin).get_json()["total"] == 2
