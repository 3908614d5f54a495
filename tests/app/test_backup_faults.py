"""What befalls imports: faults at any place, others at the same time; nothing is half written, and no secret shows."""

from __future__ import annotations

import copy
import itertools
import json
import logging
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.backup import restoring
from config.settings import Settings
from models.accounts import Account, ApiKey
from models.backup.section import Section
from models.backup.sections import everything
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
    send,
    stored,
)
from tests.making import at_once


def everything_else(file: File) -> File:
    """Of every section one record more, one less and one changed."""
    data = copy.deepcopy(file["data"])
    data["services"] = [{**data["services"][0], "enabled": False}, {**SERVICE, "api_key": "another"}]
    data["user_mappings"] = [{**data["user_mappings"][0], "email": "j@example.com"}, {"canonical_name": "zoe"}]
    data["groups"] = [{**data["groups"][0], "members": ["john", "zoe"], "description": "All"}, {"name": "Kids"}]
    data["site_config"][0]["value"] = "Elsewhere"
    data["users"] = [user for user in data["users"] if user["username"] != "client"]
    data["users"][0]["email"] = "new@example.org"
    data["users"].append({"username": "new", "role": "client"})
    data["api_keys"] = [key for key in data["api_keys"] if key["user"] == "admin"]
    data["api_keys"][1]["expires_at"] = "2031-01-15T02:00:00Z"
    data["api_keys"].append({**KEY, "user": "new", "digest": "1" * 64})
    data["pronunciations"] = [{"written": "vaughan", "spoken": "Von"}, {"written": "Turk", "spoken": "Tirk"}]
    data["curricula"][0]["content"][0]["title"] = "First"
    data["curricula"].append(COURSE)
    return again(file, **data)


def fail_after(monkeypatch: pytest.MonkeyPatch, number: int | None) -> list[str]:
    """Has the write of that number raise once it is made; the list grows by a name with each write."""
    made: list[str] = []
    for kind in {type(section) for section in everything("").values()}:
        for name in ("add_all", "change", "remove"):
            real = getattr(kind, name)

            def write(self: Section, session: Any, what: Any, real: Any = real, name: str = name) -> None:
                real(self, session, what)
                made.append(f"{self.name}.{name}")
                if len(made) - 1 == number:
                    session.flush()
                    raise RuntimeError("a fault")

            monkeypatch.setattr(kind, name, write)
    return made


def test_a_fault_at_any_write_leaves_everything_as_it_was(
    filled: FlaskClient, admin: Headers, database: Database, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.post("/api/curriculum", json={"title": "Whales"}, headers=admin)
    file = everything_else(export(filled, admin))
    file["data"]["curricula"].pop(1)
    file = again(file)
    before = stored(database)
    folder = configured.var_dir / restoring.SNAPSHOTS
    kept = sorted(folder.iterdir()) if folder.exists() else []
    with monkeypatch.context() as patch:
        every = fail_after(patch, None)
        restore(filled, admin, file, dry_run=True)
    sections = {name.partition(".")[0] for name in every}
    assert {"services", "user_mappings", "groups", "site_config", "users", "api_keys", "pronunciations"} <= sections
    assert {"curricula.change", "curricula.add_all", "curricula.remove", "users.remove"} <= set(every)
    for number in range(len(every)):
        with monkeypatch.context() as patch:
            made = fail_after(patch, number)
            assert send(filled, admin, file).status_code == 500
            assert len(made) == number + 1
        assert stored(database) == before, every[number]
    assert sorted(folder.iterdir()) == kept
    restore(filled, admin, file)
    assert stored(database) != before


def test_a_course_that_is_used_is_not_replaced(filled: FlaskClient, admin: Headers, database: Database) -> None:
    course = filled.get("/api/curriculum", headers=admin).get_json()["curricula"][0]["id"]
    body = {"curriculum_id": course, "user_id": "somebody"}
    assert filled.post("/api/sessions", json=body, headers=admin).status_code == 201
    before = stored(database)
    status, code, detail = refused(filled, admin, bare(curricula=[]))
    assert (status, code) == (409, "CONFLICT")
    assert "curricula 'Knots" in detail
    assert stored(database) == before


def test_of_two_imports_at_once_one_comes_after_the_other(client: FlaskClient, admin: Headers) -> None:
    def data(mark: str) -> File:
        people = [{"canonical_name": f"{mark}{n}", "email": f"{n}@example.org"} for n in range(20)]
        group = {"name": "Same", "tool_permissions": [mark], "members": [person["canonical_name"] for person in people]}
        return bare(
            services=[{**SERVICE, "name": f"{mark}{n}"} for n in range(20)],
            user_mappings=people,
            groups=[group, {"name": mark}],
        )

    files = [data("a"), data("b")]
    for _ in range(3):
        answers = at_once(4, lambda n: send(client.application.test_client(), admin, files[n % 2]).status_code)
        assert answers == [200] * 4
        found = export(client, admin, services=True, user_mappings=True, groups=True)["data"]
        names = [record.get("name") or record["canonical_name"] for record in itertools.chain(*found.values())]
        marks = {name[0] for name in names if name != "Same"}
        assert (len(names), len(marks)) == (42, 1), names


# --- Secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_found_in_any_file_or_log_or_answer(
    filled: FlaskClient, admin: Headers, database: Database, configured: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with database.transaction() as session:
        kept = [*session.scalars(select(Account.password_hash)), *session.scalars(select(ApiKey.digest))]
    secret = [CANARY, PASSPHRASE, *kept]
    plain, sealed = export(filled, admin), export(filled, admin, passphrase=PASSPHRASE)
    texts = [json.dumps(plain), json.dumps(sealed)]
    handwritten = bare(services=[{**SERVICE, "api_key": f"{CANARY}-handwritten"}])
    imports: list[tuple[File, File]] = [
        (sealed, {"passphrase": PASSPHRASE}),
        (sealed, {"passphrase": f"{CANARY}-wrong"}),
        (handwritten, {"merge_mode": True}),
        (bare(services=[{**SERVICE, "api_key": {"sealed": CANARY}}]), {}),
        (bare(services=[{**SERVICE, "type": "vcr", "api_key": CANARY}]), {}),
        (plain, {"passphrase": 7}),
    ]
    statuses = []
    for file, more in imports:
        answer = send(filled, admin, file, **more)
        statuses.append(answer.status_code)
        texts.append(answer.text)
    assert statuses == [200, 422, 200, 422, 422, 422]
    texts += [path.read_text() for path in (configured.var_dir / restoring.SNAPSHOTS).iterdir()]
    for path in ("/api/services", "/api/mcp/history", "/api/users", "/api/auth/keys", "/api/v1/errors/recent"):
        answer = filled.get(path, headers=admin)
        assert answer.status_code == 200, answer.text
        texts.append(answer.text)
    texts += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    for table, rows in stored(database).items():
        if table not in ("accounts", "api_keys"):
            texts += rows
    for found in secret:
        assert [text[:200] for text in texts if found in text] == []
    assert len([text for text in texts if "http://127.0.0.1:32400" in text]) >= 4
