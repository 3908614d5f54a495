"""``users`` and ``keys``."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest

from models import accounts
from models.base import utc_now
from models.db import Database
from tests.app.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("clean")


def signs_in(database: Database, name: str, password: str) -> bool:
    with database.transaction() as session:
        return accounts.password_fits(accounts.find(session, name), password)


def test_a_user_gets_the_password_that_is_piped_in(run: Run, database: Database) -> None:
    shown = run("users", "create", "ada", "--role", "operator", stdin="a long password\n")
    assert (shown.status, shown.out) == (0, "User ada (operator) may sign in.\n")
    assert signs_in(database, "ada", "a long password")


def test_a_made_up_password_is_shown_and_works(run: Run, database: Database) -> None:
    made = run("users", "create", "ada", "--generate", "--email", "ada@example.org", "--json").json
    assert (made["username"], made["role"], made["email"]) == ("ada", "client", "ada@example.org")
    assert signs_in(database, "ada", made["password"])


def test_a_password_typed_twice_must_be_the_same(run: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.accounts.on_terminal", lambda stream: stream is sys.stdin)
    typed = iter(["a long password", "a wrong password", "a long password", "a long password"])
    monkeypatch.setattr("app.cli.accounts.getpass", lambda prompt: next(typed))
    shown = run("users", "create", "ada")
    assert (shown.status, shown.err) == (1, "The two are not the same; nothing was changed.\n")
    assert run("users", "create", "ada").status == 0
    assert signs_in(database, "ada", "a long password")


def test_ctrl_d_instead_of_a_password_makes_nobody(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("app.cli.accounts.on_terminal", lambda stream: stream is sys.stdin)
    monkeypatch.setattr("app.cli.accounts.getpass", ended)
    shown = run("users", "create", "ada")
    assert (shown.status, shown.out, shown.err) == (1, "", "\nNo password was given; nothing was changed.\n")
    with database.transaction() as session:
        assert accounts.find(session, "ada") is None


@pytest.mark.parametrize(
    ("arguments", "password", "error"),
    [
        (["admin"], "a long password", "There is a user 'admin' already.\n"),
        (["ada"], "short", "The password has 5 characters; at least 8 are needed.\n"),
        (["ada", "--role", "king"], "a long password", "Role 'king' is not one of admin, operator, agent, client.\n"),
    ],
)
def test_a_user_that_cannot_be_is_refused(
    arguments: list[str], password: str, error: str, run: Run, database: Database
) -> None:
    shown = run("users", "create", *arguments, stdin=password)
    assert (shown.status, shown.out, shown.err) == (1, "", error)


def test_a_key_opens_until_it_is_revoked(run: Run, database: Database) -> None:
    made = run("keys", "create", "phone", "--role", "client", "--expires-days", "2", "--json").json
    with database.transaction() as session:
        caller = accounts.caller_of_key(session, made["key"])
        assert caller is not None
        assert (caller.username, caller.role) == ("admin", "client")
        key = session.get_one(accounts.ApiKey, made["id"])
        assert key.expires_at is not None
        assert timedelta(days=1.9) < key.expires_at - utc_now() <= timedelta(days=2)
    assert run("keys", "revoke", made["id"]).status == 0
    with database.transaction() as session:
        assert accounts.caller_of_key(session, made["key"]) is None
    again = run("keys", "revoke", made["id"])
    assert (again.status, again.err) == (1, f"There is no API key {made['id']!r}.\n")


def test_a_transcribers_key_acts_as_that_transcriber(run: Run, database: Database) -> None:
    made = run("keys", "create", "ann", "--agent", "7", "--json").json
    assert (made["role"], made["agent_id"]) == ("agent", 7)
    with database.transaction() as session:
        caller = accounts.caller_of_key(session, made["key"])
    assert caller is not None
    assert (caller.role, caller.agent_id) == ("agent", 7)


def test_the_list_of_keys_has_no_secrets(run: Run, database: Database) -> None:
    secret = run("keys", "create", "phone", "--json").json["key"]
    listed, shown = run("keys", "list", "--json"), run("keys", "list")
    assert "phone" in [key["name"] for key in listed.json["keys"]]
    assert "phone" in shown.out
    assert secret not in listed.out + shown.out


def test_a_key_for_nobody_is_refused(run: Run, database: Database) -> None:
    shown = run("keys", "create", "phone", "--user", "nobody")
    assert (shown.status, shown.err) == (1, "There is no user 'nobody'.\n")


def test_migrate_says_where_the_database_is(run: Run, database: Database) -> None:
    shown = run("migrate")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.endswith(", the newest.\n")
