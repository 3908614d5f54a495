"""Short ways to call tools over REST, as somebody who is known and may."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models import accounts
from models.base import new_id
from models.db import Database
from tests.conftest import PASSWORD


class Tools:
    """The tools, called by one person."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self.client, self.headers = client, headers

    def ask(self, name: str, *, token: str | None = None, **arguments: Any) -> TestResponse:
        """What a call is answered."""
        body = {"arguments": arguments} | ({} if token is None else {"confirmation_token": token})
        return self.client.post(f"/api/mcp/tools/{name}", json=body, headers=self.headers)

    def call(self, name: str, **arguments: Any) -> Any:
        """What the tool gave."""
        answer = self.ask(name, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.get_json()["result"]

    def confirm(self, name: str, **arguments: Any) -> Any:
        """What a tool gave that may destroy something: it is refused once, and called again with the token."""
        return self.call(name, token=self.refused(name, 409, **arguments)["confirmation_token"], **arguments)

    def refused(self, name: str, status: int, *, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        """What a call that is refused with this status is answered."""
        answer = self.ask(name, token=token, **arguments)
        assert answer.status_code == status, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def named(self) -> set[str]:
        """The names of the tools that are shown."""
        return {tool["name"] for tool in self.client.get("/api/mcp/tools", headers=self.headers).get_json()}


def let(client: FlaskClient, admin: dict[str, str], username: str, *patterns: str) -> None:
    """Makes an account known, and lets it call the tools that these patterns mean."""
    answer = client.post("/api/users/mappings", json={"canonical_name": username}, headers=admin)
    assert answer.status_code == 201, answer.text
    group = {"name": f"Those with {username}", "tool_permissions": list(patterns), "members": [username]}
    answer = client.post("/api/groups", json=group, headers=admin)
    assert answer.status_code == 201, answer.text


def somebody(
    database: Database, client: FlaskClient, admin: dict[str, str], *patterns: str, role: str = "client"
) -> Tools:
    """A new account of this role that may call the tools that these patterns mean."""
    secret = f"a key of {role} {new_id()}"
    with database.transaction() as session:
        account = accounts.create(session, username=new_id(), password=PASSWORD, role=role)
        accounts.store_key(session, account, name=role, role=role, secret=secret)
    let(client, admin, account.username, *patterns)
    return Tools(client, {"X-API-Key": secret})
