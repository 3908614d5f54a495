"""Which role may use which route: a table of all of them, and what is said to those who may not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.sockets import feeds
from models.accounts import ROLES
from models.db import Database
from tests.roles import AGENT, key_of_role

# Something that every role but the transcribers' may ask for.
ASKED = "/api/curriculum"


@pytest.fixture
def app(client: FlaskClient) -> Flask:
    """The application behind ``client``."""
    return client.application


EVERYBODY, SIGNED_IN = {None, *ROLES}, set(ROLES)
CLIENTS = {"admin", "operator", "client"}
OPERATORS = {"admin", "operator"}
TRANSCRIBERS = {"admin", "operator", "agent"}
MATRIX = {
    "GET /": EVERYBODY,
    "GET /wakewords": EVERYBODY,
    "GET /transcribe": EVERYBODY,
    "GET /static/<path:name>": EVERYBODY,
    "GET /openapi.json": EVERYBODY,
    "GET /docs": EVERYBODY,
    "GET /docs/<release>/<name>": EVERYBODY,
    "GET /redoc": EVERYBODY,
    "GET /health": EVERYBODY,
    "GET /flower": EVERYBODY,
    "GET /health/live": EVERYBODY,
    "GET /health/ready": EVERYBODY,
    "POST /api/auth/login": EVERYBODY,
    "POST /api/auth/refresh": EVERYBODY,
    "POST /api/auth/logout": SIGNED_IN,
    "POST /api/auth/ws-ticket": SIGNED_IN,
    "GET /api/auth/me": SIGNED_IN,
    "POST /api/auth/password": SIGNED_IN,
    "GET /api/auth/keys": SIGNED_IN,
    "POST /api/auth/keys": SIGNED_IN,
    "DELETE /api/auth/keys/<key_id>": SIGNED_IN,
    "GET /api/users": {"admin"},
    "POST /api/users": {"admin"},
    "GET /api/users/<user_id>": {"admin"},
    "PATCH /api/users/<user_id>": {"admin"},
    "DELETE /api/users/<user_id>": {"admin"},
    "GET /api/stats": SIGNED_IN,
    "GET /api/curriculum": CLIENTS,
    "POST /api/curriculum": CLIENTS,
    "GET /api/curriculum/<curriculum_id>": CLIENTS,
    "PUT /api/curriculum/<curriculum_id>": CLIENTS,
    "DELETE /api/curriculum/<curriculum_id>": CLIENTS,
    "GET /api/curriculum/search": CLIENTS,
    "GET /api/curriculum/<curriculum_id>/export": CLIENTS,
    "GET /api/curriculum/<curriculum_id>/assets/<path:path>": CLIENTS,
    "POST /api/tts": CLIENTS,
    "GET /api/tts/cache": CLIENTS,
    "DELETE /api/tts/cache": {"admin"},
    "GET /api/tts/cache/stats": CLIENTS,
    "GET /api/tts/voices": CLIENTS,
    "GET /api/speech/<key>/captions": CLIENTS,
    "GET /api/curriculum/<curriculum_id>/topics/<topic_id>/captions": CLIENTS,
    "GET /api/pronunciations": CLIENTS,
    "POST /api/pronunciations": OPERATORS,
    "DELETE /api/pronunciations/<pronunciation_id>": OPERATORS,
    "GET /api/pronunciations/file": CLIENTS,
    "PUT /api/pronunciations/file": OPERATORS,
    "POST /v1/audio/speech": CLIENTS,
    "POST /v1/audio/speech/batch": CLIENTS,
    "GET /v1/audio/speech/batch/<job_id>": CLIENTS,
    "GET /v1/audio/voices": CLIENTS,
    "GET /v1/models": CLIENTS,
    "GET /v1/models/<model>": CLIENTS,
    "GET /api/speech/<key>.<extension>": CLIENTS,
    "POST /api/tts/prefetch/topic": CLIENTS,
    "GET /api/tts/prefetch/<job_id>": CLIENTS,
    "DELETE /api/tts/prefetch/<job_id>": CLIENTS,
    "GET /api/deployments": CLIENTS,
    "POST /api/deployments": CLIENTS,
    "GET /api/deployments/<deployment_id>": CLIENTS,
    "DELETE /api/deployments/<deployment_id>": CLIENTS,
    "POST /api/deployments/<deployment_id>/start": CLIENTS,
    "POST /api/deployments/<deployment_id>/pause": CLIENTS,
    "POST /api/deployments/<deployment_id>/resume": CLIENTS,
    "POST /api/deployments/<deployment_id>/retry": CLIENTS,
    "GET /api/deployments/<deployment_id>/manifest": CLIENTS,
    "GET /api/deployments/<deployment_id>/bundle": CLIENTS,
    "GET /api/deployments/<deployment_id>/captions": CLIENTS,
    "GET /api/imports": CLIENTS,
    "POST /api/imports": CLIENTS,
    "GET /api/imports/sources": CLIENTS,
    "GET /api/imports/<import_id>": CLIENTS,
    "DELETE /api/imports/<import_id>": CLIENTS,
    "GET /api/jobs": CLIENTS,
    "GET /api/jobs/<job_id>": CLIENTS,
    "GET /api/jobs/<job_id>/items": CLIENTS,
    "GET /api/jobs/<job_id>/result": CLIENTS,
    "POST /api/jobs/<job_id>/cancel": CLIENTS,
    "POST /api/jobs/<job_id>/pause": CLIENTS,
    "POST /api/jobs/<job_id>/resume": CLIENTS,
    "POST /api/jobs/<job_id>/retry": CLIENTS,
    "GET /api/jobs/<job_id>/deliveries": CLIENTS,
    "POST /api/jobs/<job_id>/deliveries/<delivery_id>/retry": CLIENTS,
    "GET /api/auth/webhook-secret": SIGNED_IN,
    "GET /api/sessions": CLIENTS,
    "POST /api/sessions": CLIENTS,
    "GET /api/sessions/<session_id>": CLIENTS,
    "PATCH /api/sessions/<session_id>": CLIENTS,
    "DELETE /api/sessions/<session_id>": CLIENTS,
    "GET /api/v1/errors/summary": {"admin"},
    "GET /api/v1/errors/recent": {"admin"},
    "GET /api/v1/audit": {"admin"},
    "GET /api/v1/metrics": {"admin"},
    "GET /metrics": {"admin"},
    "GET /api/v1/resources": {"admin"},
    "POST /api/v1/cleanup": {"admin"},
    "GET /api/v1/cleanup/status": {"admin"},
    "GET /api/info": SIGNED_IN,
    "POST /api/train/start": CLIENTS,
    "GET /api/train/status/<job_id>": CLIENTS,
    "GET /api/train/jobs": CLIENTS,
    "GET /api/train/download/<job_id>": CLIENTS,
    "DELETE /api/train/<job_id>": CLIENTS,
    "GET /api/models": CLIENTS,
    "GET /api/models/compare": CLIENTS,
    "GET /api/models/<model_id>": CLIENTS,
    "PATCH /api/models/<model_id>": CLIENTS,
    "DELETE /api/models/<model_id>": CLIENTS,
    "GET /api/models/<model_id>/download": CLIENTS,
    "GET /api/models/<model_id>/report": CLIENTS,
    "GET /api/models/<model_id>/det.png": CLIENTS,
    "GET /api/models/<model_id>/versions": CLIENTS,
    "POST /api/models/<model_id>/activate": CLIENTS,
    "POST /api/models/<model_id>/retrain": CLIENTS,
    "GET /api/cache/info": CLIENTS,
    "POST /api/cache/build": {"admin"},
    "DELETE /api/cache": {"admin"},
    "POST /api/test/file": CLIENTS,
    "GET /api/test/device": CLIENTS,
    "POST /api/test/device": OPERATORS,
    "POST /api/tasks/request": TRANSCRIBERS,
    "POST /api/tasks/<int:task_id>/heartbeat": TRANSCRIBERS,
    "POST /api/tasks/<int:task_id>/submit": TRANSCRIBERS,
    "POST /api/tasks/<int:task_id>/skip": TRANSCRIBERS,
    "GET /api/tasks/available/count": TRANSCRIBERS,
    "GET /api/audio/stream/<int:task_id>/<int:agent_id>": TRANSCRIBERS,
    "GET /api/audio/peaks/<int:task_id>/<int:agent_id>": TRANSCRIBERS,
    "GET /api/agents/<int:agent_id>/stats": TRANSCRIBERS,
    "GET /api/health": TRANSCRIBERS,
    "POST /api/transcription/import": OPERATORS,
    "GET /api/transcription/tasks": OPERATORS,
    "GET /api/transcription/tasks/<int:task_id>": OPERATORS,
    "POST /api/transcription/tasks/<int:task_id>/unpark": OPERATORS,
    "GET /api/transcription/kept/<int:assignment_id>": TRANSCRIBERS,
    "GET /api/transcription/agents": OPERATORS,
    "POST /api/transcription/agents/<int:agent_id>/pause": OPERATORS,
    "POST /api/transcription/agents/<int:agent_id>/resume": OPERATORS,
    "POST /api/transcription/agents/<int:agent_id>/bonus": OPERATORS,
    "POST /api/transcription/agents/<int:agent_id>/payout": OPERATORS,
    "GET /api/transcription/statements": OPERATORS,
    "GET /api/transcription/review": OPERATORS,
    "POST /api/transcription/tasks/<int:task_id>/decide": OPERATORS,
    "GET /api/transcription/export": OPERATORS,
    "POST /api/transcription/label-studio/webhook": EVERYBODY,
    "GET /api/system/metrics": SIGNED_IN,
    "GET /api/services": OPERATORS,
    "POST /api/services": {"admin"},
    "GET /api/services/<int:service_id>": OPERATORS,
    "PUT /api/services/<int:service_id>": {"admin"},
    "DELETE /api/services/<int:service_id>": {"admin"},
    "POST /api/services/<int:service_id>/test": OPERATORS,
    "GET /api/services/<int:service_id>/health": OPERATORS,
    "GET /api/users/mappings": OPERATORS,
    "POST /api/users/mappings": {"admin"},
    "GET /api/users/mappings/<int:mapping_id>": OPERATORS,
    "PUT /api/users/mappings/<int:mapping_id>": {"admin"},
    "DELETE /api/users/mappings/<int:mapping_id>": {"admin"},
    "GET /api/groups": OPERATORS,
    "POST /api/groups": {"admin"},
    "GET /api/groups/explain": OPERATORS,
    "GET /api/groups/<int:group_id>": OPERATORS,
    "PUT /api/groups/<int:group_id>": {"admin"},
    "PUT /api/groups/<int:group_id>/permissions": {"admin"},
    "PUT /api/groups/<int:group_id>/members": {"admin"},
    "DELETE /api/groups/<int:group_id>": {"admin"},
    "POST /api/backup/export": {"admin"},
    "POST /api/backup/import": {"admin"},
    "GET /api/backup/preview": {"admin"},
    "GET /api/backup/snapshots": {"admin"},
    "GET /api/site-config": {"admin"},
    "PUT /api/site-config": {"admin"},
    "GET /api/training/prompts": OPERATORS,
    "POST /api/training/prompts": OPERATORS,
    "POST /api/training/prompts/import": OPERATORS,
    "GET /api/training/prompts/export": OPERATORS,
    "GET /api/training/prompts/<int:prompt_id>": OPERATORS,
    "PUT /api/training/prompts/<int:prompt_id>": OPERATORS,
    "DELETE /api/training/prompts/<int:prompt_id>": OPERATORS,
    "GET /api/training/sessions": OPERATORS,
    "POST /api/training/sessions": OPERATORS,
    "GET /api/training/sessions/<session_id>": OPERATORS,
    "DELETE /api/training/sessions/<session_id>": OPERATORS,
    "POST /api/training/sessions/<session_id>/start": OPERATORS,
    "GET /api/training/sessions/<session_id>/status": OPERATORS,
    "POST /api/training/sessions/<session_id>/cancel": OPERATORS,
    "GET /api/training/sessions/<session_id>/adapter": OPERATORS,
    "POST /api/training/sessions/<session_id>/merge": OPERATORS,
    "GET /api/training/sessions/<session_id>/model": OPERATORS,
    "POST /api/training/sessions/<session_id>/handover": OPERATORS,
    "POST /api/training/preview": OPERATORS,
    "GET /api/training/workers": OPERATORS,
    "POST /api/training/workers/<int:worker_id>/drain": OPERATORS,
    "GET /api/training/base-models": OPERATORS,
    # Who may call which tool is the groups' matter.
    "GET /api/mcp/tools": SIGNED_IN,
    "POST /api/mcp/tools/<name>": SIGNED_IN,
    "GET /api/mcp/history": SIGNED_IN,
    "GET /api/mcp/statistics": SIGNED_IN,
    "SOCKET /ws/system": SIGNED_IN,
    "SOCKET /ws/logs": OPERATORS,
    "SOCKET /ws/training/<session_id>": OPERATORS,
    "SOCKET /api/test/ws/<model_id>": CLIENTS,
    "SOCKET /ws": CLIENTS,
    "SOCKET /ws/audio": CLIENTS,
    "SOCKET /ws/jobs/<job_id>": CLIENTS,
}


def _routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Every route with its method, and its endpoint's name."""
    for rule in app.url_map.iter_rules():
        for method in {"SOCKET"} if rule.websocket else (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {rule.rule}", rule.endpoint


def path_of(rule: str) -> str:
    """Some path of a route."""
    return re.sub(r"<[^>]+>", "x", re.sub(r"<int:[^>]+>", str(AGENT), rule))


def test_every_route_declares_its_access(app: Flask) -> None:
    undeclared = {
        route
        for route, endpoint in _routes(app)
        if not getattr(app.view_functions[endpoint], "declares_access", False)
        and route.removeprefix("SOCKET ") not in feeds.declared
    }
    assert undeclared == set()


def test_every_route_is_in_the_table_of_roles(app: Flask) -> None:
    assert {route for route, _ in _routes(app)} == set(MATRIX)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_role_may_use_exactly_its_routes(client: FlaskClient, database: Database, role: str | None) -> None:
    headers = key_of_role(database, role) if role else {}
    refusal = 403 if role else 401
    for route, allowed in MATRIX.items():
        method, rule = route.split(" ")
        if method == "SOCKET":
            assert feeds.declared[rule] == allowed
            continue
        answer = client.open(path_of(rule), method=method, headers=headers)
        # What is allowed may be refused for what was asked, but not for who asks.
        refused_for = answer.status_code if answer.status_code in (401, 403) else None
        expected = None if role in allowed else refusal
        if route in ("POST /api/auth/login", "POST /api/auth/refresh"):
            assert answer.status_code == 400
        elif route == "POST /api/transcription/label-studio/webhook":
            # It takes a secret that is nobody's credential.
            assert answer.status_code == 401
        else:
            assert refused_for == expected, (route, answer.text)


def test_a_refused_role_is_told_which_ones_would_do(client: FlaskClient, database: Database) -> None:
    answer = client.get(ASKED, headers=key_of_role(database, "agent"))
    assert (answer.status_code, answer.get_json()["code"]) == (403, "FORBIDDEN")
    assert all(name in answer.get_json()["error"] for name in ("agent", "admin", "client"))
