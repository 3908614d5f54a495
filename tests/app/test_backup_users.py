"""Backups of accounts: somebody who can administer is always left, and whoever imports is one of them."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from models.db import Database
from tests.backups import PASSPHRASE, Headers, again, export, fill, restore, send, stored, wipe
from tests.conftest import API_KEY, PASSWORD


def without(file: dict[str, Any], username: str) -> dict[str, Any]:
    users = [record for record in file["data"]["users"] if record["username"] != username]
    keys = [record for record in file["data"]["api_keys"] if record["user"] != username]
    return again(file, users=users, api_keys=keys)


def test_whoever_imports_stays_and_can_administer(filled: FlaskClient, admin: Headers, database: Database) -> None:
    filled.post("/api/users", json={"username": "eve", "password": "a long password", "role": "admin"}, headers=admin)
    file = export(filled, admin, users=True, api_keys=True)
    before = stored(database)
    for bad in (
        without(file, "admin"),
        again(
            file,
            users=[
                user | {"role": "client"} if user["username"] == "admin" else user for user in file["data"]["users"]
            ],
        ),
        again(file, users=[user | {"disabled": user["username"] == "admin"} for user in file["data"]["users"]]),
    ):
        answer = send(filled, admin, bad)
        assert (answer.status_code, answer.get_json()["error_code"]) == (409, "CONFLICT"), answer.text
        assert "admin" in answer.get_json()["detail"]
    assert stored(database) == before


def test_the_last_administrator_stays(client: FlaskClient, admin: Headers) -> None:
    file = export(client, admin, users=True, api_keys=True)
    demoted = [user | {"role": "client"} for user in file["data"]["users"]]
    assert send(client, admin, again(file, users=demoted), merge_mode=True).status_code == 409


def test_the_key_that_an_import_came_with_stays(client: FlaskClient, admin: Headers) -> None:
    answer = send(client, admin, {"version": "1.0", "data": {"api_keys": []}})
    assert answer.status_code == 409
    assert "merge" in answer.get_json()["detail"]
    token = client.post("/api/auth/login", json={"username": "admin", "password": PASSWORD}).get_json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert send(client, bearer, {"version": "1.0", "data": {"api_keys": []}}).status_code == 200
    assert client.get("/api/auth/me", headers={"X-API-Key": API_KEY}).status_code == 401


def test_whoever_brings_another_password_stays_signed_in(client: FlaskClient, admin: Headers) -> None:
    file = export(client, admin, users=True, api_keys=True, passphrase=PASSPHRASE)

    def bearer(password: str) -> Headers | None:
        answer = client.post("/api/auth/login", json={"username": "admin", "password": password})
        return {"Authorization": f"Bearer {answer.get_json()['access_token']}"} if answer.status_code == 200 else None

    mine = bearer(PASSWORD)
    changed = {"old_password": PASSWORD, "new_password": "another long one"}
    assert client.post("/api/auth/password", json=changed, headers=mine).status_code == 200
    here, elsewhere = bearer("another long one"), bearer("another long one")
    assert here is not None
    restore(client, here, file, passphrase=PASSPHRASE)
    assert client.get("/api/auth/me", headers=here).status_code == 200
    assert client.get("/api/auth/me", headers=elsewhere).status_code == 401
    assert bearer(PASSWORD) is not None


def test_a_key_that_the_environment_makes_is_the_same_everywhere(
    client: FlaskClient, admin: Headers, database: Database
) -> None:
    fill(client, admin)
    file = export(client, admin, users=True, api_keys=True, passphrase=PASSPHRASE)
    wipe(database)
    merged = restore(client, admin, file, passphrase=PASSPHRASE, merge_mode=True)
    assert merged["diff"]["api_keys"]["changed"] == [
        {"record": next(label for label in labels(file) if "VOICEWORKS_API_KEY" in label), "fields": ["created_at"]}
    ]
    assert restore(client, admin, file, passphrase=PASSPHRASE)["diff"]["api_keys"] == {
        **{kind: [] for kind in ("added", "changed", "removed")},
        "unchanged": 3,
    }


def labels(file: dict[str, Any]) -> list[str]:
    return [f"{key['user']} / {key['name']} / {key['created_at']}" for key in file["data"]["api_keys"]]
