"""Every operation asked by every role: no fault of the server's, and every answer is one that is described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from config.settings import Settings
from models.accounts import Account, ApiKey
from models.db import Database
from tests.roles import key_of_role
from tests.schema.asking import Asked, ask
from tests.schema.conftest import SUMMARY
from tests.web import Web, serving

ROLES = ("none", "client", "agent", "operator", "admin")
# Of an administrator, who may do everything, that so many operations were not only refused. The rest need what a
# server without workers never has: a clip, a trained model, a deployment that is done.
DONE_BY_ADMINISTRATORS = 80


@pytest.fixture(scope="module")
def server(configured: Settings) -> Iterator[Web]:
    """A web process that asks nobody outside this machine for anything."""
    with serving(configured.var_dir / "log" / "schema.log", SERVICE_NETWORKS="127.0.0.0/8") as web:
        yield web


# Administrators reach most; the others take as long, and are refused the rest.
@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=() if role == "admin" else pytest.mark.slow) for role in ROLES]
)
def test_two_requests_of_every_operation_are_answered_as_described(
    server: Web, clean: None, database: Database, role: str, record_property: Any
) -> None:
    asked = asked_by(role, server, database, record_property, fuzzing=2)
    assert asked.cases >= len(asked.answers)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ROLES)
def test_every_case_of_the_description_and_some_by_chance_are_answered_as_described(
    server: Web, clean: None, database: Database, role: str, record_property: Any
) -> None:
    asked = asked_by(role, server, database, record_property, examples=3, coverage=0, fuzzing=10, stateful=10)
    assert asked.cases > 20 * len(asked.answers)
    if role == "admin":
        assert asked.operations(200, 299) >= DONE_BY_ADMINISTRATORS


def asked_by(role: str, server: Web, database: Database, record_property: Any, **phases: int) -> Asked:
    """What came of asking everything; fails at anything that went wrong."""
    headers = {} if role == "none" else key_of_role(database, role)
    with database.transaction() as session:
        spared = {str(row.id) for table in (Account, ApiKey) for row in session.query(table)}
    described = requests.get(server.url("/openapi.json"), timeout=30).json()
    asked = ask(server.url(""), described, role, headers, spared=spared, **phases)
    record_property(SUMMARY, str(asked))
    assert asked.complete
    assert not asked.failures, "\n".join(asked.failures)
    operations = sum(method != "parameters" for item in described["paths"].values() for method in item)
    assert len(asked.answers) == operations
    assert server.get("/health").ok
    # Whoever was asked with was somebody to the end.
    if headers:
        assert server.get("/api/stats", headers=headers).ok, json.dumps(asked.answers, default=str)
    return asked
