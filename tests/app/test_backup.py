"""Backups by API: what is exported comes back, merged or in the place of what is there, all of it or nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from config.settings import Settings
from models.backup import envelope
from models.db import Database
from tests import backups
from tests.backups import PASSPHRASE, Headers, again, export, restore, send, stored, wipe

DOCUMENTED = ("services", "user_mappings", "groups", "training_prompts", "training_workers", "site_config")
NOTHING: dict[str, list[Any]] = {"added": [], "changed": [], "removed": []}


def names(file: dict[str, Any], section: str, field: str = "name") -> list[str]:
    return [record[field] for record in file["data"][section]]


# --- Export and preview ----------------------------------------------------------------------------------------------


def test_the_documents_export_is_a_file_with_what_was_asked_for(filled: FlaskClient, admin: Headers) -> None:
    answer = filled.post("/api/backup/export", json=dict.fromkeys(DOCUMENTED, True), headers=admin)
    assert answer.status_code == 200
    pattern = r"attachment; filename=voiceworks-backup-\d{4}-\d\d-\d\d\.json"
    assert re.fullmatch(pattern, answer.headers["Content-Disposition"])
    file = answer.get_json()
    assert (file["version"], tuple(file["data"])) == ("1.0", DOCUMENTED)
    assert file["counts"] == {name: len(records) for name, records in file["data"].items()}
    assert file["counts"] | {"services": 2, "user_mappings": 2, "groups": 2, "site_config": 1} == file["counts"]
    assert file["data"]["services"][0] == {
        "name": "Plex",
        "type": "plex",
        "url": "http://127.0.0.1:32400",
        "enabled": True,
        "config": {},
        "api_key": None,
    }
    assert file["secrets"]["mode"] == "omitted"
    assert file["secrets"]["fields"] == {"services": ["api_key"]}


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"groups": True}, ["groups"]),
        ({"services": True, "groups": False}, ["services"]),
        ({"wake_models": True}, ["wake_models"]),
    ],
)
def test_an_export_that_names_sections_has_no_others(
    client: FlaskClient, admin: Headers, asked: dict[str, bool], given: list[str]
) -> None:
    assert list(export(client, admin, **asked)["data"]) == given


def test_an_export_that_names_none_has_all_but_what_is_large(client: FlaskClient, admin: Headers) -> None:
    data = export(client, admin)["data"]
    assert {*DOCUMENTED, "users", "api_keys", "pronunciations", "curricula"} == set(data)


def test_the_preview_counts_what_an_export_has(filled: FlaskClient, admin: Headers) -> None:
    counted = filled.get("/api/backup/preview", headers=admin).get_json()
    assert counted == export(filled, admin, **dict.fromkeys(counted, True))["counts"]
    assert counted == counted | {"services": 2, "curricula": 1, "training_prompts": 2}


def test_no_file_has_an_id(filled: FlaskClient, admin: Headers) -> None:
    data = export(filled, admin)["data"]
    assert all("id" not in record for records in data.values() for record in records)


@pytest.mark.parametrize("body", [{"servces": True}, {"services": "yes"}, {"passphrase": "short"}])
def test_an_export_of_what_nobody_knows_is_refused(client: FlaskClient, admin: Headers, body: dict[str, Any]) -> None:
    answer = client.post("/api/backup/export", json=body, headers=admin)
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "VALIDATION_ERROR")
    assert next(iter(body)) in answer.get_json()["detail"]
    assert "short'" not in answer.text


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "export"), ("POST", "import"), ("GET", "preview"), ("GET", "snapshots")]
)
def test_backups_are_for_administrators(client: FlaskClient, customer: Headers, method: str, path: str) -> None:
    assert client.open(f"/api/backup/{path}", method=method, json={}).status_code == 401
    assert client.open(f"/api/backup/{path}", method=method, json={}, headers=customer).status_code == 403


# --- Import ----------------------------------------------------------------------------------------------------------


def test_what_was_exported_comes_back_after_everything_is_gone(
    filled: FlaskClient, admin: Headers, database: Database, configured: Settings
) -> None:
    file = export(filled, admin, passphrase=PASSPHRASE)
    wipe(database)
    done = restore(filled, admin, file, passphrase=PASSPHRASE)
    assert done["diff"]["services"] == {**NOTHING, "added": ["Plex", "Radarr"], "unchanged": 0}
    assert done["warnings"] == []
    back = export(filled, admin, passphrase=PASSPHRASE)
    assert backups.opened(back, configured) == backups.opened(file, configured)
    # Passwords and keys open what they did.
    signed_in = filled.post("/api/auth/login", json={"username": "ada", "password": f"{backups.CANARY}-password"})
    assert signed_in.status_code == 200


def test_the_file_itself_is_taken_and_changes_nothing(filled: FlaskClient, admin: Headers, database: Database) -> None:
    file, before = export(filled, admin), stored(database)
    done = restore(filled, admin, file)
    assert all(diff | NOTHING == diff for diff in done["diff"].values())
    assert stored(database) == before


def test_the_documents_bare_import_is_taken(client: FlaskClient, admin: Headers) -> None:
    body = {"version": "1.0", "data": {"groups": [{"name": "Kids", "tool_permissions": ["plex_search"]}]}}
    answer = client.post("/api/backup/import", json=body | {"options": {"merge_mode": False}}, headers=admin)
    assert answer.status_code == 200, answer.text
    assert [group["name"] for group in client.get("/api/groups", headers=admin).get_json()] == ["Kids"]


def test_merging_adds_and_changes_and_removes_nothing(filled: FlaskClient, admin: Headers) -> None:
    file = export(filled, admin, services=True, groups=True)
    filled.post("/api/groups", json={"name": "Kids"}, headers=admin)
    plex = file["data"]["services"][0] | {"enabled": False}
    new = plex | {"name": "Second", "url": "http://127.0.0.1:1"}
    done = restore(filled, admin, again(file, services=[plex, new]), merge_mode=True)
    assert done["diff"]["services"] == {
        "added": ["Second"],
        "changed": [{"record": "Plex", "fields": ["enabled"]}],
        "removed": [],
        "unchanged": 0,
    }
    assert done["snapshot"] is None
    now = export(filled, admin)
    assert names(now, "services") == ["Plex", "Radarr", "Second"]
    assert names(now, "groups") == ["Admins", "Guests", "Kids"]


def test_replacing_removes_what_the_file_does_not_have_and_leaves_other_sections(
    filled: FlaskClient, admin: Headers
) -> None:
    file = export(filled, admin, services=True)
    done = restore(filled, admin, again(file, services=file["data"]["services"][1:]))
    assert done["diff"] == {"services": {**NOTHING, "removed": ["Plex"], "unchanged": 1}}
    now = export(filled, admin)
    assert (names(now, "services"), names(now, "groups")) == (["Radarr"], ["Admins", "Guests"])


@pytest.mark.parametrize("merge", [True, False])
def test_secrets_that_the_file_does_not_have_stay(filled: FlaskClient, admin: Headers, merge: bool) -> None:
    file = export(filled, admin)
    file["data"]["services"][0]["url"] = "http://127.0.0.1:4"
    restore(filled, admin, again(file), merge_mode=merge)
    plex = filled.get("/api/services", headers=admin).get_json()[0]
    assert (plex["url"], plex["has_api_key"]) == ("http://127.0.0.1:4", True)
    signed_in = filled.post("/api/auth/login", json={"username": "ada", "password": f"{backups.CANARY}-password"})
    assert signed_in.status_code == 200


def test_without_secrets_an_account_comes_back_that_nobody_can_use_and_no_key(
    filled: FlaskClient, admin: Headers, database: Database
) -> None:
    file = export(filled, admin)
    wipe(database)
    done = restore(filled, admin, file, merge_mode=True)
    assert any("'ada' has no password" in warning for warning in done["warnings"])
    assert any("script" in warning for warning in done["warnings"])
    assert filled.post("/api/auth/login", json={"username": "ada", "password": "!"}).status_code == 401
    ada = next(u for u in filled.get("/api/users", headers=admin).get_json()["users"] if u["username"] == "ada")
    filled.patch(f"/api/users/{ada['id']}", json={"password": "a new long one"}, headers=admin)
    assert filled.post("/api/auth/login", json={"username": "ada", "password": "a new long one"}).status_code == 200


@pytest.mark.parametrize("merge", [True, False])
def test_a_dry_run_says_what_the_real_one_does_and_writes_nothing(
    filled: FlaskClient, admin: Headers, database: Database, merge: bool
) -> None:
    file = export(filled, admin, passphrase=PASSPHRASE)
    filled.put("/api/site-config", json={"site_name": "Elsewhere"}, headers=admin)
    filled.post("/api/users/mappings", json={"canonical_name": "zoe"}, headers=admin)
    filled.post("/api/curriculum", json={"title": "New"}, headers=admin)
    file["data"]["services"][1]["config"] = {"verify_tls": False}
    file["data"]["groups"][0]["members"] = ["mary"]
    file = again(file)
    before = stored(database)
    rehearsed = restore(filled, admin, file, passphrase=PASSPHRASE, merge_mode=merge, dry_run=True)
    assert stored(database) == before
    assert (rehearsed["dry_run"], rehearsed["snapshot"]) == (True, None)
    real = restore(filled, admin, file, passphrase=PASSPHRASE, merge_mode=merge)
    assert real["diff"] == rehearsed["diff"]
    assert real["diff"]["groups"]["changed"] == [{"record": "Admins", "fields": ["members"]}]
    assert real["diff"]["user_mappings"]["removed"] == ([] if merge else ["zoe"])
    assert stored(database) != before


def test_a_snapshot_brings_back_what_was_replaced_with_its_secrets(
    filled: FlaskClient, admin: Headers, configured: Settings
) -> None:
    before = export(filled, admin, passphrase=PASSPHRASE)
    name = restore(filled, admin, {"version": "1.0", "data": {"services": [], "groups": []}})["snapshot"]
    assert filled.get("/api/services", headers=admin).get_json() == []
    assert name in filled.get("/api/backup/snapshots", headers=admin).get_json()["snapshots"]
    path = configured.var_dir / "backups" / name
    assert path.stat().st_mode & 0o077 == 0
    assert backups.CANARY not in path.read_text()
    answer = filled.post("/api/backup/import", json={"snapshot": name}, headers=admin)
    assert answer.status_code == 200, answer.text
    after = export(filled, admin, passphrase=PASSPHRASE)
    assert backups.opened(after, configured) == backups.opened(before, configured)


def test_the_last_ten_snapshots_are_kept(client: FlaskClient, admin: Headers) -> None:
    made = [restore(client, admin, {"version": "1.0", "data": {"groups": []}})["snapshot"] for _ in range(12)]
    kept = client.get("/api/backup/snapshots", headers=admin).get_json()["snapshots"]
    assert kept == made[:1:-1]


@pytest.mark.parametrize("name", ["snapshot-20260101T000000000000Z.json", "../secret.key", "x"])
def test_a_snapshot_that_is_not_there_is_not_found(client: FlaskClient, admin: Headers, name: str) -> None:
    answer = client.post("/api/backup/import", json={"snapshot": name}, headers=admin)
    assert (answer.status_code, answer.get_json()["error_code"]) == (404, "SNAPSHOT_NOT_FOUND")


def test_two_people_may_exchange_their_addresses(client: FlaskClient, admin: Headers) -> None:
    people = [{"canonical_name": name, "email": f"{name}@example.org"} for name in ("ann", "bob")]
    restore(client, admin, {"version": "1.0", "data": {"user_mappings": people}})
    people[0]["email"], people[1]["email"] = people[1]["email"], people[0]["email"]
    restore(client, admin, {"version": "1.0", "data": {"user_mappings": people}})
    shown = client.get("/api/users/mappings", headers=admin).get_json()
    assert [person["email"] for person in shown] == ["bob@example.org", "ann@example.org"]


def test_a_course_keeps_its_ids_and_gets_its_words_back(filled: FlaskClient, admin: Headers) -> None:
    file = export(filled, admin, curricula=True)
    course = filled.get("/api/curriculum", headers=admin).get_json()["curricula"][0]["id"]
    before = filled.get(f"/api/curriculum/{course}", headers=admin).get_json()
    filled.put(f"/api/curriculum/{course}", json={"content": [{"title": "Other", "text": "Gone."}]}, headers=admin)
    filled.put(f"/api/pronunciations/file?curriculum_id={course}", data=b"Turk,Tirk\n", headers=admin)
    restore(filled, admin, file)
    after = filled.get(f"/api/curriculum/{course}", headers=admin).get_json()
    assert after["content"] == before["content"]
    listed = filled.get(f"/api/pronunciations?curriculum_id={course}", headers=admin).get_json()["pronunciations"]
    assert [entry["written"] for entry in listed] == ["Ashley"]


def test_courses_of_one_name_and_moment_are_told_apart(client: FlaskClient, admin: Headers) -> None:
    course = {"title": "Twins", "created_at": "2026-01-15T02:00:00Z", "content": [{"title": "T", "text": "One."}]}
    other = course | {"content": [{"title": "T", "text": "Two."}], "copy": 2}
    restore(client, admin, {"version": "1.0", "data": {"curricula": [course, other]}})
    file = export(client, admin, curricula=True)
    assert [record.get("copy") for record in file["data"]["curricula"]] == [None, 2]
    done = restore(client, admin, file)
    assert done["diff"]["curricula"] == {**NOTHING, "unchanged": 2}


# --- Versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.1", "2.0", "10.0", "0.9"])
def test_another_version_is_refused_by_name(client: FlaskClient, admin: Headers, version: str) -> None:
    answer = send(client, admin, {"version": version, "data": {"groups": []}})
    assert (answer.status_code, answer.get_json()["error_code"]) == (422, "BACKUP_VERSION_UNSUPPORTED")
    assert {version, "1.0"} <= set(re.findall(r"[0-9]+\.[0-9]+", answer.get_json()["detail"]))


def test_an_older_version_is_led_to_this_one(
    client: FlaskClient, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(data: dict[str, Any]) -> dict[str, Any]:
        return {{"teams": "groups"}.get(name, name): records for name, records in data.items()}

    monkeypatch.setitem(envelope.MIGRATIONS, "0.8", ("0.9", rename))
    monkeypatch.setitem(envelope.MIGRATIONS, "0.9", ("1.0", lambda data: data))
    file = {"version": "0.8", "data": {"teams": [{"name": "Kids"}]}}
    checksums = {"teams": envelope.checksum(file["data"]["teams"])}  # type: ignore[index]
    done = restore(client, admin, file | {"checksums": checksums})
    assert (done["version"], done["diff"]["groups"]["added"]) == ("0.8", ["Kids"])
