"""Backups that are not as they should be: nothing of them is written, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from models.db import Database
from tests.backups import (
    CANARY,
    COURSE,
    KEY,
    PASSPHRASE,
    SERVICE,
    File,
    Headers,
    again,
    bare,
    export,
    refused,
    restore,
    stored,
)

# --- What was changed on the way -------------------------------------------------------------------------------------


def _other_value(file: File) -> None:
    file["data"]["services"][0]["url"] = "http://127.0.0.1:5"


def _one_less(file: File) -> None:
    file["data"]["groups"].pop()
    del file["checksums"]


def _section_gone(file: File) -> None:
    del file["data"]["groups"]


def _secret_elsewhere(file: File) -> None:
    first, second = file["data"]["services"]
    second["api_key"] = first["api_key"]
    file.update(again(file))


def _secret_changed(file: File) -> None:
    sealed = file["data"]["services"][0]["api_key"]["sealed"]
    file["data"]["services"][0]["api_key"]["sealed"] = sealed[:-4] + ("AAA=" if sealed[-4:] != "AAA=" else "BBB=")
    file.update(again(file))


def _costly(file: File) -> None:
    file["secrets"]["n"] = 2**30


def _unsaid(file: File) -> None:
    del file["secrets"]


@pytest.mark.parametrize(
    "change", [_other_value, _one_less, _section_gone, _secret_elsewhere, _secret_changed, _costly, _unsaid]
)
def test_a_file_that_was_changed_is_refused(
    filled: FlaskClient, admin: Headers, database: Database, change: Callable[[File], None]
) -> None:
    file = export(filled, admin, passphrase=PASSPHRASE)
    change(file)
    before = stored(database)
    status, code, detail = refused(filled, admin, file, passphrase=PASSPHRASE)
    assert (status, code) == (422, "BACKUP_CORRUPT"), detail
    assert stored(database) == before


def test_a_file_whose_numbers_were_written_by_another_program_is_the_same(filled: FlaskClient, admin: Headers) -> None:
    service = filled.get("/api/services", headers=admin).get_json()[0]
    config = {"config": {"timeout_seconds": 5.0}}
    assert filled.put(f"/api/services/{service['id']}", json=config, headers=admin).status_code == 200
    text = json.dumps(export(filled, admin, services=True))
    assert '"timeout_seconds": 5.0' in text
    assert restore(filled, admin, json.loads(text.replace("5.0", "5")))["diff"]["services"]["unchanged"] == 2


@pytest.mark.parametrize(
    ("passphrase", "code"),
    [("another passphrase", "BACKUP_PASSPHRASE_WRONG"), (None, "BACKUP_PASSPHRASE_NEEDED")],
)
def test_without_the_passphrase_nothing_is_written(
    filled: FlaskClient, admin: Headers, database: Database, passphrase: str | None, code: str
) -> None:
    file = export(filled, admin, passphrase=PASSPHRASE)
    filled.post("/api/groups", json={"name": "Later"}, headers=admin)
    before = stored(database)
    status, found, detail = refused(filled, admin, file, passphrase=passphrase)
    assert (status, found) == (422, code)
    assert passphrase is None or passphrase not in detail
    assert stored(database) == before


# --- What no endpoint would take -------------------------------------------------------------------------------------

TOOL = {"name": "lights", "description": "Switches lights", "path": "/lights"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"serves": []}, ["'serves'", "services"]),
        ({"services": {}}, ["services", "list"]),
        ({"services": [7]}, ["services[0]", "not a record"]),
        ({"services": [SERVICE, {**SERVICE, "name": "T", "type": "vcr"}]}, ["services[1] 'T'", "type", "'vcr'"]),
        ({"services": [{**SERVICE, "id": 7}]}, ["services[0] 'S'", "id"]),
        ({"services": [SERVICE, SERVICE]}, ["services[1] 'S'", "services[0]"]),
        ({"services": [{**SERVICE, "url": "http://169.254.169.254/"}]}, ["services[0] 'S'", "metadata"]),
        ({"services": [{**SERVICE, "url": "ftp://127.0.0.1"}]}, ["services[0] 'S'", "ftp"]),
        ({"services": [{**SERVICE, "config": {"timeout_seconds": 1e9}}]}, ["services 'S'", "timeout_seconds"]),
        (
            {
                "services": [
                    {**SERVICE, "name": name, "type": "generic_http", "config": {"tools": [TOOL]}} for name in "AB"
                ]
            },
            ["lights", "another tool"],
        ),
        ({"groups": [{"name": "G", "members": ["nobody"]}]}, ["groups 'G'", "members", "'nobody'"]),
        ({"groups": [{"name": "G", "tool_permissions": ["a b"]}]}, ["groups[0] 'G'", "tool_permissions", "'a b'"]),
        ({"user_mappings": [{"canonical_name": ""}]}, ["user_mappings[0]", "canonical_name"]),
        ({"site_config": [{"name": "site_name", "value": ""}]}, ["site_config[0] 'site_name'", "empty"]),
        ({"site_config": [{"name": "colour", "value": "red"}]}, ["site_config[0]", "'colour'"]),
        ({"users": [{"username": "u", "role": "king"}]}, ["users[0] 'u'", "role", "'king'"]),
        ({"users": [{"username": "u\nv", "role": "client"}]}, ["users 'u\\nv'", "username"]),
        ({"api_keys": [{**KEY, "user": "nobody", "digest": "0" * 64}]}, ["api_keys 'nobody / k", "user", "'nobody'"]),
        ({"api_keys": [{**KEY, "created_at": "yesterday"}]}, ["api_keys[0] 'client'", "created_at", "'yesterday'"]),
        ({"pronunciations": [{"written": "a", "spoken": "[x]"}]}, ["pronunciations[0] 'a'", "spoken", "[x]"]),
        ({"curricula": [{**COURSE, "content": [{"text": "T"}]}]}, ["curricula[0] 'C'", "content[0].title"]),
        ({"curricula": [{**COURSE, "owner": "nobody"}]}, ["curricula 'C", "owner", "'nobody'"]),
        ({"wake_models": [{"files": {"onnx": {"content": "%"}}}]}, ["wake_models[0]", "onnx", "base64"]),
        ({"training_prompts": [{"name": "P"}]}, ["training_prompts[0] 'P'", "user_input"]),
        ({"training_prompts": [{"name": "P", "user_input": "q"}]}, ["training_prompts[0] 'P'", "expected_output"]),
        ({"training_workers": [{"name": "w", "drained": "so"}]}, ["training_workers[0] 'w'", "drained", "'so'"]),
    ],
)
def test_what_cannot_be_taken_is_named(
    client: FlaskClient, admin: Headers, database: Database, data: File, said: list[str]
) -> None:
    before = stored(database)
    status, _, detail = refused(client, admin, bare(**data), merge_mode=True)
    assert status == 422, detail
    assert [part for part in said if part not in detail] == [], detail
    assert stored(database) == before


@pytest.mark.parametrize(
    ("section", "record"),
    [
        ("services", {**SERVICE, "api_key": [CANARY]}),
        ("users", {"username": "u", "role": "client", "password_hash": CANARY}),
        ("users", {"username": "u", "password_hash": "$argon2id$v=19$m=9999999,t=3,p=4$c2FsdHNhbHQ$" + "A" * 43}),
        ("api_keys", {**KEY, "digest": CANARY}),
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_quoted(
    client: FlaskClient, admin: Headers, section: str, record: File
) -> None:
    status, _, detail = refused(client, admin, bare(**{section: [record]}), merge_mode=True)
    assert (status, f"{section}[0]" in detail, CANARY in detail) == (422, True, False)


@pytest.mark.parametrize(
    ("section", "other"), [("user_mappings", "groups 'Admins'"), ("users", "api_keys 'client / test")]
)
def test_what_would_change_a_section_that_the_file_does_not_have_is_refused(
    filled: FlaskClient, admin: Headers, database: Database, section: str, other: str
) -> None:
    file = export(filled, admin, **{section: True})
    kept = [record for record in file["data"][section] if record.get("username") in ("admin", "ada")]
    before = stored(database)
    status, code, detail = refused(filled, admin, again(file, **{section: kept}))
    assert (status, code, other in detail) == (409, "CONFLICT", True), detail
    assert stored(database) == before
