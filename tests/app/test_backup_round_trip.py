"""Whatever is configured comes back from its backup as it was, and a backup made meanwhile is of one moment."""

from __future__ import annotations

import base64
import string
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from config.settings import Settings
from models import wake_models
from models.backup import envelope, sealing
from models.backup.people import UserMappings
from models.backup.section import Stored
from models.db import Database
from models.files import FileStore
from models.gateway import groups, people, services
from tests.alexa import keep_model
from tests.backups import PASSPHRASE, Headers, export, opened, restore, wipe
from tests.conftest import API_KEY
from tests.making import at_once
from tests.web import Web

MOMENTS = st.datetimes().map(lambda moment: f"{moment.replace(year=2025).isoformat()}Z")
# Whatever can be stored, and is something; without what ends a line, which no user name has.
LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
NAMES = st.text(LETTERS, min_size=1, max_size=20).filter(str.strip)
WORDS = st.text(string.ascii_letters + "äöü", min_size=1, max_size=12)
SIMPLE = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(LETTERS, max_size=20)
CONFIGS = st.dictionaries(
    st.text(string.ascii_letters, min_size=1, max_size=5), st.recursive(SIMPLE, st.lists, max_leaves=4), max_size=3
)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """What somebody may have configured."""

    def unique(most: int) -> list[str]:
        return draw(st.lists(NAMES.filter(lambda name: name not in ("admin", "client")), max_size=most, unique=True))

    def course(title: str) -> dict[str, Any]:
        parts = st.lists(NAMES | st.builds(lambda text: {"text": text, "n": 1}, NAMES), max_size=3)
        topics = st.builds(lambda title, parts: {"title": title, "segments": parts, "more": [1]}, NAMES, parts)
        return {
            "title": title,
            "created_at": draw(MOMENTS),
            "owner": draw(st.sampled_from([None, *users])),
            "description": draw(st.text(LETTERS, max_size=20)),
            "about": draw(CONFIGS),
            "content": draw(st.lists(topics, max_size=3)),
            "pronunciations": draw(st.dictionaries(WORDS.map(str.lower), WORDS, max_size=2)),
        }

    users, people = unique(3), unique(4)
    members = st.lists(st.sampled_from(people), unique=True) if people else st.just([])
    patterns = st.lists(st.text(string.ascii_letters + "_*", min_size=1, max_size=8), max_size=3)
    words = draw(st.lists(WORDS, max_size=4, unique_by=str.lower))
    digests = [f"{number:064x}" for number in range(4)]
    return {
        "services": [
            {
                "name": name,
                "type": draw(st.sampled_from(["plex", "radarr", "ollama", "overseerr"])),
                "url": f"http://127.0.0.1:{draw(st.integers(1, 65535))}",
                "enabled": draw(st.booleans()),
                "config": draw(CONFIGS),
                "api_key": draw(st.none() | NAMES),
            }
            for name in unique(3)
        ],
        "user_mappings": [
            {
                "canonical_name": name,
                "email": draw(st.none() | st.just(f"{number}@example.org")),
                "service_mappings": draw(st.dictionaries(NAMES, NAMES, max_size=2)),
            }
            for number, name in enumerate(people)
        ],
        "groups": [
            {"name": name, "description": name, "tool_permissions": draw(patterns), "members": draw(members)}
            for name in unique(3)
        ],
        "site_config": [{"name": "site_name", "value": name} for name in unique(1)],
        "users": [
            {
                "username": name,
                "role": draw(st.sampled_from(["admin", "operator", "agent", "client"])),
                "email": draw(st.none() | NAMES),
                "disabled": draw(st.booleans()),
                "password_hash": draw(st.sampled_from([None, f"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${'A' * 43}"])),
            }
            for name in users
        ],
        "api_keys": [
            {
                "user": draw(st.sampled_from([*users, "admin"])),
                "name": draw(NAMES),
                "role": draw(st.sampled_from(["admin", "client"])),
                "agent_id": draw(st.none() | st.integers(0, 2**53 - 1)),
                "created_at": f"2025-01-01T00:00:0{number}Z",
                "expires_at": draw(st.none() | MOMENTS),
                "digest": digest,
            }
            for number, digest in enumerate(digests[: draw(st.integers(0, 4))])
        ],
        "pronunciations": [{"written": word, "spoken": word[::-1]} for word in words],
        "curricula": [course(title) for title in unique(2)],
    }


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase is stretched in an instant, on which nothing here depends."""
    monkeypatch.setattr(sealing, "_COST", 2**14)
    monkeypatch.setattr(sealing, "_PARALLEL", 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=files())
def test_whatever_was_exported_comes_back_equal(
    client: FlaskClient, admin: Headers, database: Database, configured: Settings, quick: None, data: dict[str, Any]
) -> None:
    wipe(database)
    restore(client, admin, {"version": "1.0", "data": data}, merge_mode=True)
    first = export(client, admin, passphrase=PASSPHRASE)
    assert first["counts"] == first["counts"] | {
        name: len(records) for name, records in data.items() if name not in ("users", "api_keys")
    }
    wipe(database)
    rehearsed = restore(client, admin, first, passphrase=PASSPHRASE, dry_run=True)
    done = restore(client, admin, first, passphrase=PASSPHRASE)
    assert done["diff"] == rehearsed["diff"]
    second = export(client, admin, passphrase=PASSPHRASE)
    assert opened(second, configured) == opened(first, configured)
    # Without secrets the files differ in nothing but the time.
    plain, again = export(client, admin), export(client, admin)
    assert {**plain, "created_at": None} == {**again, "created_at": None}
    assert envelope.unpack(plain) == plain["data"]


def test_a_key_that_comes_back_is_the_services_own(
    filled: FlaskClient, admin: Headers, database: Database, configured: Settings
) -> None:
    file = export(filled, admin, passphrase=PASSPHRASE, services=True)
    wipe(database)
    restore(filled, admin, file, passphrase=PASSPHRASE)
    with database.reading() as session:
        plex, radarr = services.everything(session)
    assert services.key_of(plex, configured.secret_key) == "canary-7f3a9c51e2-service"
    assert radarr.sealed_key is None


def test_detectors_come_back_with_their_files(
    client: FlaskClient, admin: Headers, database: Database, configured: Settings
) -> None:
    store = FileStore(configured.var_dir / "files")
    kept = keep_model(database, configured.var_dir)
    contents = {role: store.path(each["file"]).read_bytes() for role, each in kept.files.items()}
    file = export(client, admin, wake_models=True)
    sent = {role: base64.b64decode(each["content"]) for role, each in file["data"]["wake_models"][0]["files"].items()}
    assert sent == contents
    wipe(database)
    for each in kept.files.values():
        store.remove([each["file"]])
    rehearsed = restore(client, admin, file, dry_run=True)
    assert not any(store.exists(each["file"]) for each in kept.files.values())
    assert restore(client, admin, file)["diff"] == rehearsed["diff"]
    with database.reading() as session:
        found = wake_models.find(session, "alexa")
    assert (found.version, found.files, found.report, found.threshold) == (1, kept.files, kept.report, kept.threshold)
    assert {role: store.path(each["file"]).read_bytes() for role, each in found.files.items()} == contents


def test_a_backup_is_of_one_moment(
    client: FlaskClient, admin: Headers, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, group = {"canonical_name": "a"}, {"name": "G", "description": "a", "members": ["a"]}
    restore(client, admin, {"version": "1.0", "data": {"user_mappings": [person], "groups": [group]}})
    real = UserMappings.read

    def read(self: UserMappings, session: Session) -> list[Stored]:
        """What there is; afterwards somebody else changes it, before groups are read."""
        found = real(self, session)
        with database.transaction() as other:
            people.change(other, found[0].row_id, {"canonical_name": "b"})
            groups.change(other, groups.everything(other)[0].group.id, {"description": "b"})
        return found

    with monkeypatch.context() as patch:
        patch.setattr(UserMappings, "read", read)
        seen = export(client, admin, user_mappings=True, groups=True)["data"]
    assert [each["canonical_name"] for each in seen["user_mappings"]] == ["a"]
    assert [(each["description"], each["members"]) for each in seen["groups"]] == [("a", ["a"])]
    now = export(client, admin, groups=True)["data"]["groups"]
    assert [(each["description"], each["members"]) for each in now] == [("b", ["b"])]


def test_an_installation_with_another_secret_key_says_which_secrets_are_lost(
    filled: FlaskClient, admin: Headers, database: Database
) -> None:
    with database.transaction() as session:
        plex = services.everything(session)[0]
        services.change(session, plex.id, {"sealed_key": services.seal_key("lost", "another secret key" * 4)})
    file = export(filled, admin, passphrase=PASSPHRASE, services=True)
    assert file["secrets"]["unreadable"] == ["services Plex"]
    assert "api_key" not in file["data"]["services"][0]
    assert restore(filled, admin, file, passphrase=PASSPHRASE)["diff"]["services"]["unchanged"] == 2


def test_the_envelope_says_what_is_in_it(filled: FlaskClient, admin: Headers) -> None:
    file = export(filled, admin)
    assert set(file["checksums"]) == set(file["counts"]) == set(file["sections"]) == set(file["data"])
    assert file["checksums"]["groups"] == envelope.checksum(file["data"]["groups"])
    assert file["created_at"].endswith("Z")
    fill_again = envelope.checksum(file["data"]["services"][::-1])
    assert file["checksums"]["services"] != fill_again


def test_a_file_may_be_as_large_as_an_upload(client: FlaskClient, admin: Headers) -> None:
    large = base64.b64encode(bytes(13 * 2**20)).decode()
    model = {
        "wake_word": "alexa",
        "version": 1,
        "active": True,
        "type": "custom",
        "model_type": "ast",
        "threshold": 0.5,
        "files": {"onnx": {"content": large}},
    }
    file = {"version": "1.0", "data": {"wake_models": [model]}}
    assert len(large) > 16 * 2**20
    assert restore(client, admin, file, dry_run=True)["diff"]["wake_models"]["added"] == ["alexa@1"]


def test_a_real_web_process_goes_on_answering_while_a_passphrase_is_stretched(clean: None, web: Web) -> None:
    headers = {"X-API-Key": API_KEY}
    body = {"passphrase": PASSPHRASE, "users": True, "api_keys": True}

    def work(number: int) -> float:
        began = time.monotonic()
        if number:
            time.sleep(0.05)
            assert web.get("/health/live").status_code == 200
            return time.monotonic() - began
        file = web.post("/api/backup/export", json=body, headers=headers).json()
        wrong = web.post("/api/backup/import", json=file | {"passphrase": "wrong"}, headers=headers)
        assert (wrong.status_code, wrong.json()["error_code"]) == (422, "BACKUP_PASSPHRASE_WRONG")
        for dry_run in (True, False):
            sent = file | {"passphrase": PASSPHRASE, "options": {"dry_run": dry_run}}
            done = web.post("/api/backup/import", json=sent, headers=headers)
            assert done.status_code == 200, done.text
            assert (done.json()["diff"]["users"]["unchanged"], bool(done.json()["snapshot"])) == (2, not dry_run)
        return time.monotonic() - began

    export_seconds, *others = at_once(3, work)
    assert max(others) < export_seconds
