"""Every socket, opened by every role for its own and for others': closed as the table says, or spoken to."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
import websocket
from flask.testing import FlaskClient

from app import access_table
from app.access_table import SOCKET, Line
from models import sessions
from models.accounts import ROLES
from models.db import Database
from models.llm import sessions as training_sessions
from models.wake_models import WakeModel
from tests import making, roles
from tests.roles import Person
from tests.web import Web


def played(database: Database, owner: Person) -> str:
    with database.transaction() as session:
        return sessions.create(session, account_id=owner.account_id).id


def tuned(database: Database, owner: Person) -> str:
    body = {"name": making.new_id(), "base_model": "smollm2-135m-instruct", "config": {}}
    with database.transaction() as session:
        return training_sessions.create(session, body, account_id=owner.account_id).row.id


# A refusal comes at once.
_SPEAKS_FIRST_SECONDS = 1.0


# The path of something of somebody's.
PATHS: dict[str, Callable[[Database, Person], str]] = {
    "/ws": lambda database, owner: "/ws",
    "/ws/system": lambda database, owner: "/ws/system",
    "/ws/logs": lambda database, owner: "/ws/logs",
    "/ws/jobs/<job_id>": lambda database, owner: (
        f"/ws/jobs/{making.submit(database, doorbells=0, account_id=owner.account_id).id}"
    ),
    "/ws/audio": lambda database, owner: f"/ws/audio?session_id={quote(played(database, owner))}",
    "/ws/training/<session_id>": lambda database, owner: f"/ws/training/{tuned(database, owner)}",
    "/api/test/ws/<model_id>": lambda database, owner: "/api/test/ws/alexa",
}


def opened(web: Web, path: str, headers: dict[str, str]) -> str:
    """How it is answered: with the code that it is closed with, or "yes" when something is said."""
    with web.socket(path, header=headers) as socket:
        try:
            socket.connection.settimeout(_SPEAKS_FIRST_SECONDS)
            frame = socket.connection.recv_frame()
        except websocket.WebSocketTimeoutException:
            # Some wait to be asked; what this asks for, nobody knows.
            socket.connection.settimeout(10)
            socket.send({"type": "what"})
            frame = socket.connection.recv_frame()
        if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
            return str(int.from_bytes(frame.data[:2], "big"))
        assert isinstance(json.loads(frame.data), dict)
        return "yes"


@pytest.fixture
def sockets(client: FlaskClient) -> list[Line]:
    found = [line for line in access_table.lines(client.application) if line.method == SOCKET]
    assert {line.rule for line in found} == set(PATHS)
    return found


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_socket_opens_to_each_role_as_the_table_says(
    web: Web, sockets: list[Line], database: Database, model: WakeModel, role: str | None
) -> None:
    somebody = roles.person(database, "client")
    me = roles.person(database, role) if role else None
    for line in sockets:
        cell = line.cell(role)
        make = PATHS[line.rule]
        theirs = opened(web, make(database, somebody), me.headers if me else {})
        assert theirs == (cell.removeprefix("own, else ") if cell != "own" else "yes"), (line.name, "others'")
        if me is not None:
            mine = opened(web, make(database, me), me.headers)
            assert mine == (cell if cell.isdigit() else "yes"), (line.name, "own")
