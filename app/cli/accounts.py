"""``users`` and ``keys``: who may do what."""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from datetime import timedelta
from getpass import getpass

from app.cli import OK, reach
from app.cli.output import Failed, moment, on_terminal, show_columns, show_json
from models import accounts
from models.accounts import ApiKey
from models.base import iso, utc_now
from models.errors import NotFound


def create_user(arguments: Namespace) -> int:
    """Makes a user."""
    password = secrets.token_urlsafe(12) if arguments.generate else _ask_password()
    with reach.database() as database, database.transaction() as session:
        account = accounts.create(
            session, username=arguments.name, password=password, role=arguments.role, email=arguments.email
        )
    if arguments.json:
        shown = {"id": account.id, "username": account.username, "role": account.role, "email": account.email}
        show_json(shown | ({"password": password} if arguments.generate else {}))
        return OK
    print(f"User {account.username} ({account.role}) may sign in.")
    if arguments.generate:
        print(f"Password, shown this once: {password}")
    return OK


def create_key(arguments: Namespace) -> int:
    """Makes an API key."""
    ends = utc_now() + timedelta(days=arguments.expires_days) if arguments.expires_days else None
    with reach.database() as database, database.transaction() as session:
        account = accounts.find(session, arguments.user)
        if account is None:
            raise NotFound(f"There is no user {arguments.user!r}.")
        agent = arguments.agent
        # Whoever is one transcriber is no more than that.
        role = arguments.role if agent is None else "agent"
        key, secret = accounts.create_key(
            session, account, name=arguments.name, role=role, expires_at=ends, agent_id=agent
        )
    if arguments.json:
        show_json(_shown(key, account.username) | {"key": secret})
        return OK
    whose = key.role if agent is None else f"transcriber {agent}"
    print(f"Key {key.id} of {account.username} ({whose}), {f'until {moment(ends)}' if ends else 'for good'}.")
    print(f"Shown this once, for the header X-API-Key: {secret}")
    return OK


def list_keys(arguments: Namespace) -> int:
    """Lists every key."""
    with reach.database() as database, database.transaction(durable=False) as session:
        found = accounts.keys(session)
    if arguments.json:
        show_json({"keys": [_shown(key, username) for key, username in found]})
        return OK
    rows = [
        (key.id, key.name, username, key.role, *map(moment, (key.created_at, key.expires_at, key.last_used_at)))
        for key, username in found
    ]
    show_columns(("ID", "NAME", "USER", "ROLE", "CREATED", "EXPIRES", "LAST USED"), rows, nothing="There are no keys.")
    return OK


def revoke_key(arguments: Namespace) -> int:
    """Ends a key."""
    with reach.database() as database, database.transaction() as session:
        accounts.revoke_key(session, arguments.id)
    if arguments.json:
        show_json({"id": arguments.id, "revoked": True})
    else:
        print(f"Key {arguments.id} opens nothing any more.")
    return OK


def _shown(key: ApiKey, username: str) -> dict[str, str | int | None]:
    return {
        "id": key.id,
        "name": key.name,
        "user": username,
        "role": key.role,
        "agent_id": key.agent_id,
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "last_used_at": iso(key.last_used_at),
    }


def _ask_password() -> str:
    """The password, typed twice on a terminal, else the first line of standard input."""
    if not on_terminal(sys.stdin):
        return sys.stdin.readline().rstrip("\r\n")
    try:
        password, again = getpass("Password: "), getpass("Again: ")
    except EOFError:
        # Ctrl-D leaves the cursor behind the question.
        print(file=sys.stderr)
        raise Failed("No password was given; nothing was changed.") from None
    if again != password:
        raise Failed("The two are not the same; nothing was changed.")
    return password
