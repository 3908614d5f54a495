"""What tests of backups share: an installation with something of everything, and what is stored of it."""

from __future__ import annotations

import copy
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.backup import files, records
from config.settings import Settings
from models import accounts
from models.backup import envelope, sealing
from models.backup.sections import everything
from models.db import Database
from models.registry import Base
from models.workers import Worker
from tests.conftest import API_KEY, PASSWORD

PASSPHRASE = "correct horse battery staple"
CANARY = "canary-7f3a9c51e2"
Headers = dict[str, str]
File = dict[str, Any]
SERVICE = {"name": "S", "type": "plex", "url": "http://127.0.0.1:1"}
COURSE = {"title": "C", "created_at": "2026-01-15T02:00:00Z"}
KEY = {"user": "client", "name": "k", "role": "client", "created_at": "2026-01-15T02:00:00Z"}
# Written by the clock and by processes, whatever is imported.
_OF_PROCESSES = ("audit_entries", "error_reports", "error_groups", "workers")


def fill(client: FlaskClient, admin: Headers) -> None:
    """Something of everything."""
    for path, body in (
        ("services", {"name": "Plex", "type": "plex", "url": "http://127.0.0.1:32400", "api_key": f"{CANARY}-service"}),
        ("services", {"name": "Radarr", "type": "radarr", "url": "http://127.0.0.1:7878", "enabled": False}),
        ("users/mappings", {"canonical_name": "john", "email": "john@example.com", "service_mappings": {"plex": "jp"}}),
        ("users/mappings", {"canonical_name": "mary"}),
        ("groups", {"name": "Admins", "tool_permissions": ["*"], "members": ["john", "mary"]}),
        ("groups", {"name": "Guests", "description": "Look only", "tool_permissions": ["plex_*"]}),
        ("users", {"username": "ada", "password": f"{CANARY}-password", "role": "operator", "email": "a@example.org"}),
        ("auth/keys", {"name": "script"}),
        ("training/prompts", {"name": "Film", "user_input": "Amélie", "expected_output": "Yes.", "tags": ["films"]}),
        ("training/prompts", {"name": "Call", "user_input": "Look", "tool_calls": [{"name": "plex_search"}]}),
        ("pronunciations", {"written": "Vaughan", "spoken": "Vawn"}),
        (
            "curriculum",
            {"title": "Knots", "license": {"name": "CC0"}, "content": [{"title": "One", "text": "Bowline."}]},
        ),
    ):
        answer = client.post(f"/api/{path}", json=body, headers=admin)
        assert answer.status_code == 201, answer.text
    course = client.get("/api/curriculum", headers=admin).get_json()["curricula"][0]["id"]
    entry = {"written": "Ashley", "spoken": "/ˈæʃli/", "curriculum_id": course}
    assert client.post("/api/pronunciations", json=entry, headers=admin).status_code == 201
    named = client.put("/api/site-config", json={"site_name": "Home"}, headers=admin)
    assert named.status_code == 200, named.text


def export(client: FlaskClient, admin: Headers, **body: Any) -> File:
    """A backup."""
    answer = client.post("/api/backup/export", json=body, headers=admin)
    assert answer.status_code == 200, answer.text
    file: File = answer.get_json()
    return file


def send(client: FlaskClient, admin: Headers, file: File, **more: Any) -> TestResponse:
    """A backup, imported; ``more`` stands beside it, ``options`` spelt out."""
    options = {name: more.pop(name) for name in ("merge_mode", "dry_run") if name in more}
    return client.post("/api/backup/import", json=file | {"options": options} | more, headers=admin)


def restore(client: FlaskClient, admin: Headers, file: File, **more: Any) -> File:
    """What an import that went well answered."""
    answer = send(client, admin, file, **more)
    assert answer.status_code == 200, answer.text
    found: File = answer.get_json()
    return found


def refused(client: FlaskClient, admin: Headers, file: File, **more: Any) -> tuple[int, str, str]:
    """The status, the code and the sentence with which an import was refused."""
    answer = send(client, admin, file, **more)
    said = answer.get_json()
    return answer.status_code, said["error_code"], said["detail"]


def bare(**data: Any) -> File:
    """A file as the document shows one."""
    return {"version": "1.0", "data": data}


def again(file: File, **data: Any) -> File:
    """The file with other sections, and with what says so."""
    changed = {**copy.deepcopy(file["data"]), **data}
    checksums = {name: envelope.checksum(records) for name, records in changed.items()}
    counts = {name: len(records) for name, records in changed.items()}
    return file | {"data": changed, "checksums": checksums, "counts": counts, "sections": list(changed)}


def opened(file: File, configured: Settings, passphrase: str = PASSPHRASE) -> File:
    """The records of a file with their secrets in clear."""
    cipher = sealing.of_file(file["secrets"], passphrase=passphrase, secret_key=configured.secret_key)
    data = dict(file["data"])
    if files.SECTION in data:
        data[files.SECTION], _ = files.take_out(data[files.SECTION])
    return records.checked(everything(configured.secret_key), data, cipher)


def wipe(database: Database) -> None:
    """Nothing is left but an administrator with the usual key."""
    with database.transaction() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table is not Worker.__table__:
                session.execute(table.delete())
        accounts.ensure_admin(session, password=PASSWORD, api_key=API_KEY)


def stored(database: Database) -> dict[str, list[str]]:
    """Every row of every table, but for what processes note by themselves."""
    found: dict[str, list[str]] = {}
    with database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in _OF_PROCESSES:
                columns = [column for column in table.columns if column.name != "last_used_at"]
                found[table.name] = sorted(str(tuple(row)) for row in session.execute(select(*columns)))
    return found
