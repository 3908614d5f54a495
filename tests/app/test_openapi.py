"""The description of the API for programs."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema.exceptions import ValidationError
from marshmallow import Schema
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import create_app, openapi
from app.http.access import ADMIN
from app.http.parsing import Text
from app.surfaces import ADMINISTRATION, GATEWAY, TRANSCRIPTION, WAKEWORDS, Surface, SurfaceBlueprint
from config.settings import Settings
from config.versions import AUDIO_FORMATS
from tests.described import DescribedClient, assert_described, operations, resolved

# A route's <name> as a template's {name}.
TEMPLATED = r"{\1}"
# For people: no client is made for them.
PAGES = {"page", "docs"}
SESSION = {
    *("user_id", "curriculum_id", "topic_id", "voice_id", "provider", "speed", "config"),
    *("segment_index", "offset_ms", "playback_position", "is_playing"),
}
PROMPT = {
    *("name", "category", "system_prompt", "user_input", "expected_output", "tool_calls", "history", "tags"),
}
# What a body says, by its endpoint; the rest take none.
BODIES = {
    "POST /api/services": {"name", "type", "url", "api_key", "enabled", "config"},
    "PUT /api/services/{service_id}": {"name", "type", "url", "api_key", "enabled", "config"},
    "POST /api/users/mappings": {"canonical_name", "email", "service_mappings"},
    "PUT /api/users/mappings/{mapping_id}": {"canonical_name", "email", "service_mappings"},
    "POST /api/groups": {"name", "description", "tool_permissions", "members"},
    "PUT /api/groups/{group_id}": {"name", "description", "tool_permissions", "members"},
    "PUT /api/groups/{group_id}/permissions": {"tools"},
    "PUT /api/groups/{group_id}/members": {"members"},
    "PUT /api/site-config": {"site_name"},
    "POST /api/backup/export": {
        *("services", "user_mappings", "groups", "training_prompts", "training_workers", "site_config", "users"),
        *("api_keys", "pronunciations", "curricula", "wake_models", "passphrase"),
    },
    "POST /api/backup/import": {
        *("version", "data", "options", "passphrase", "snapshot", "checksums", "counts", "secrets", "created_at"),
        *("generator", "sections"),
    },
    "POST /api/training/prompts": PROMPT,
    "PUT /api/training/prompts/{prompt_id}": PROMPT,
    "POST /api/training/sessions": {"name", "description", "base_model", "config"},
    "POST /api/training/sessions/{session_id}/start": {"worker_id", "prompt_ids", "callback_url"},
    "POST /api/training/sessions/{session_id}/merge": {"dtype", "callback_url"},
    "POST /api/training/sessions/{session_id}/handover": {"service_id", "model", "callback_url"},
    "POST /api/training/preview": {"base_model", "config", "prompt_ids"},
    "POST /api/training/workers/{worker_id}/drain": {"drained"},
    "POST /api/mcp/tools/{name}": {"arguments", "service_id", "confirmation_token"},
    "POST /api/tasks/request": {"agent_id"},
    "POST /api/tasks/{task_id}/heartbeat": {"agent_id"},
    "POST /api/tasks/{task_id}/submit": {"agent_id", "transcription"},
    "POST /api/tasks/{task_id}/skip": {"agent_id", "reason"},
    "POST /api/transcription/agents/{agent_id}/pause": {"reason"},
    "POST /api/transcription/agents/{agent_id}/bonus": {"amount", "note"},
    "POST /api/transcription/agents/{agent_id}/payout": {"amount", "note"},
    "POST /api/transcription/tasks/{task_id}/decide": {"transcription", "annotation_id"},
    "POST /api/auth/login": {"username", "password"},
    "POST /api/auth/refresh": {"refresh_token"},
    "POST /api/auth/logout": {"refresh_token"},
    "POST /api/sessions": SESSION,
    "PATCH /api/sessions/{session_id}": SESSION,
    "POST /api/auth/password": {"old_password", "new_password"},
    "POST /api/auth/keys": {"name", "role", "expires_at", "agent_id"},
    "POST /api/users": {"username", "password", "role", "email"},
    "PATCH /api/users/{user_id}": {"password", "role", "email", "disabled"},
    "POST /api/curriculum": {"title", "description", "content", "language", "license", "attribution", "authors"},
    "PUT /api/curriculum/{curriculum_id}": {
        *("title", "description", "content", "language", "license", "attribution", "authors"),
    },
    "POST /api/tts": {
        *("text", "voice_id", "provider", "curriculum_id", "speed", "format"),
        *("sample_rate", "channels", "loudness_lufs", "seed", "callback_url"),
    },
    "POST /api/pronunciations": {"written", "spoken", "curriculum_id"},
    "POST /v1/audio/speech": {
        *("model", "input", "voice", "response_format", "speed", "instructions", "stream_format"),
    },
    "POST /v1/audio/speech/batch": {"items", "encoding", "callback_url"},
    "POST /api/tts/prefetch/topic": {"curriculum_id", "topic_id", "voice_id", "provider", "speed", "callback_url"},
    "POST /api/imports": {
        *("source", "course_id", "url", "title", "curriculum_id", "accept_license", "dry_run", "callback_url"),
    },
    "PATCH /api/models/{model_id}": {"threshold"},
    "POST /api/v1/cleanup": {"target", "max_age_hours", "dry_run", "callback_url"},
    "POST /api/test/device": {"device"},
    "POST /api/deployments": {"curriculum_id", "title", "scheduled_time", "voice_configs", "callback_url"},
}
QUERIES = {
    "GET /api/groups/explain": {"user", "tool"},
    "GET /api/mcp/history": {"limit", "offset", "status", "tool_name", "user"},
    "GET /api/mcp/statistics": {"days"},
    "GET /api/services/{service_id}/health": {"limit", "offset"},
    "GET /api/training/prompts": {"category", "tag", "limit", "offset"},
    "POST /api/training/prompts/import": {"format"},
    "GET /api/training/prompts/export": {"format"},
    "GET /api/training/sessions": {"limit", "offset"},
    "GET /api/tasks/available/count": {"agent_id"},
    "GET /api/transcription/tasks": {"limit", "state", "offset"},
    "GET /api/transcription/agents": {"limit", "offset"},
    "GET /api/transcription/review": {"limit", "offset"},
    "GET /api/transcription/statements": {"since", "until", "agent_id", "format"},
    "GET /api/transcription/export": {"format"},
    "GET /api/curriculum": {"limit", "offset"},
    "GET /api/users": {"limit", "offset"},
    "GET /api/sessions": {"user_id", "status", "limit", "offset"},
    "GET /api/curriculum/search": {"q", "limit", "offset"},
    "DELETE /api/curriculum/{curriculum_id}": {"force"},
    "POST /api/tts": {"stream"},
    "GET /api/tts/cache": {"text", "voice_id", "provider", "curriculum_id", "speed", "seed"},
    "GET /api/tts/voices": {"limit", "offset"},
    "GET /api/speech/{key}.{extension}": {"sample_rate", "channels", "loudness_lufs"},
    "GET /api/speech/{key}/captions": {"format"},
    "GET /api/curriculum/{curriculum_id}/topics/{topic_id}/captions": {"format", "voice_id", "provider", "speed"},
    "GET /api/pronunciations": {"curriculum_id", "limit", "offset"},
    "GET /api/pronunciations/file": {"curriculum_id"},
    "PUT /api/pronunciations/file": {"curriculum_id"},
    "GET /api/deployments": {"status", "limit", "offset"},
    "GET /api/deployments/{deployment_id}/captions": {"format", "voice_id", "topic_id"},
    "GET /api/imports": {"status", "limit", "offset"},
    "GET /api/jobs": {"kind", "state", "parent", "limit", "cursor"},
    "GET /api/jobs/{job_id}/items": {"state", "limit", "cursor"},
    "GET /api/v1/errors/summary": {"hours", "group_by"},
    "GET /api/v1/errors/recent": {"limit", "page", "level", "endpoint", "request_id"},
    "GET /api/v1/audit": {"limit", "page"},
    "GET /api/train/jobs": {"limit"},
    "GET /api/models": {"type"},
    "GET /api/models/compare": {"a", "b"},
    "POST /api/cache/build": {"max_workers", "callback_url"},
}


def test_it_says_what_it_is(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1.")
    assert described["info"]["title"] == "Voiceworks"
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["info"]["version"])


def test_it_lists_every_route_and_no_other(described: dict[str, Any], lasting_client: FlaskClient) -> None:
    routes = {
        f"{method} {re.sub('<(?:path:|int:)?([^>]+)>', TEMPLATED, rule.rule)}"
        for rule in lasting_client.application.url_map.iter_rules()
        if not rule.websocket and rule.endpoint.partition(".")[0] not in PAGES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {name for name, _ in operations(described)} == routes


def test_every_operation_says_what_it_gives_and_names_its_parameters(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        assert operation["summary"], name
        assert operation["responses"], name
        declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", name)), name
        assert all(each["required"] for each in operation["parameters"] if each["in"] == "path"), name


def test_every_body_is_described_by_its_schema(described: dict[str, Any]) -> None:
    found = {}
    for name, operation in operations(described):
        if "application/json" in operation.get("requestBody", {}).get("content", {}):
            schema = resolved(described, operation["requestBody"]["content"]["application/json"]["schema"])
            # OpenAI's surface passes over what it does not know, and so do transcribers' tasks.
            lenient = " /v1/" in name or " /api/tasks/" in name
            assert (schema["type"], schema.get("additionalProperties", True)) == ("object", lenient)
            assert set(schema.get("required", [])) <= set(schema["properties"])
            # A cleanup of everything is not to be had by a slip.
            needed = bool(schema.get("required")) or name == "POST /api/v1/cleanup"
            assert operation["requestBody"]["required"] is needed, name
            found[name] = set(schema["properties"])
    assert found == BODIES


def test_a_body_may_be_left_out_where_it_is_not_required(
    described: dict[str, Any], client: FlaskClient, admin: dict[str, str]
) -> None:
    made = client.post("/api/curriculum", json={"title": "A course"}, headers=admin).get_json()["id"]
    assert described["paths"]["/api/curriculum/{curriculum_id}"]["put"]["requestBody"]["required"] is False
    assert client.put(f"/api/curriculum/{made}", headers=admin).status_code == 200
    assert described["paths"]["/api/curriculum"]["post"]["requestBody"]["required"] is True
    assert client.post("/api/curriculum", headers=admin).status_code == 400


def test_every_query_parameter_is_described(described: dict[str, Any]) -> None:
    found = {
        name: names
        for name, operation in operations(described)
        if (names := {each["name"] for each in operation["parameters"] if each["in"] == "query"})
    }
    assert found == QUERIES


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    waiting, references = [described], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "$ref" in value:
                references += 1
                assert resolved(described, value) is not None
            waiting += [each for each in value.values() if isinstance(each, dict | list)]
        else:
            waiting += [each for each in value if isinstance(each, dict | list)]
    assert references > len(BODIES)


def test_the_description_is_valid(described: dict[str, Any]) -> None:
    assert [str(fault) for fault in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_every_operation_has_a_described_tag_a_summary_and_an_id_of_its_own(described: dict[str, Any]) -> None:
    tags = {each["name"]: each["description"] for each in described["tags"]}
    grouped = [tag for group in described["x-tagGroups"] for tag in group["tags"]]
    assert sorted(grouped) == sorted(tags)
    assert all(tags.values())
    found = [operation for _, operation in operations(described)]
    for operation in found:
        assert len(operation["tags"]) == 1
        assert operation["tags"][0] in tags
        assert operation["summary"]
        assert "``" not in operation["summary"] + operation["description"]
    assert len({operation["operationId"] for operation in found}) == len(found)


def test_every_part_of_a_path_is_described(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        for parameter in operation["parameters"]:
            assert parameter["in"] != "path" or parameter["description"], name


def views(client: FlaskClient) -> dict[str, Any]:
    """The view behind each operation."""
    app = client.application
    return {
        f"{method} {re.sub('<(?:[a-z]+:)?([^>]+)>', TEMPLATED, rule.rule)}": app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }


def test_an_operation_takes_a_credential_exactly_where_its_route_does(
    described: dict[str, Any], lasting_client: FlaskClient
) -> None:
    schemes = described["components"]["securitySchemes"]
    assert {(each["type"], each.get("scheme"), each.get("name")) for each in schemes.values()} == {
        ("http", "bearer", None),
        ("apiKey", None, "X-API-Key"),
    }
    known = views(lasting_client)
    public = set()
    for name, operation in operations(described):
        wanted = [] if known[name].access is None else [{scheme: []} for scheme in schemes]
        assert operation["security"] == wanted, name
        assert {"401", "403"} <= set(operation["responses"]) or not wanted, name
        if not wanted:
            public.add(name)
            assert "401" not in operation["responses"] or name in described_refusals(known), name
        else:
            assert all(role in operation["description"] for role in known[name].access), name
    assert "POST /api/auth/login" in public
    assert "GET /api/stats" not in public


def described_refusals(known: dict[str, Any]) -> set[str]:
    """Operations that declare a 401 of their own, as login does."""
    return {name for name, view in known.items() if 401 in getattr(view, "refuses", ())}


ERRORS = {
    "management": {"error", "code", "details"},
    "administration": {"error", "code", "details"},
    "gateway": {"detail", "error_code", "timestamp"},
    "wakewords": {"error", "message", "details"},
    "transcription": {"detail"},
    "openai": {"error"},
}


def test_every_operation_refuses_in_the_shape_of_its_surface(
    described: dict[str, Any], lasting_client: FlaskClient
) -> None:
    known = views(lasting_client)
    for name, operation in operations(described):
        surface = known[name].surface
        assert operation["x-surface"] == surface.name
        refusals = {status: each for status, each in operation["responses"].items() if not status.startswith("2")}
        assert "default" in refusals, name
        assert ("404" in refusals) or "{" not in name, name
        takes = "requestBody" in operation or any(each["in"] == "query" for each in operation["parameters"])
        assert (str(surface.validation_status) in refusals) or not takes, name
        # The gateway's own status, and of shared routes on its port.
        assert "422" not in refusals or surface.validation_status == 422 or surface.name == "shared", name
        for each in refusals.values():
            schema = resolved(described, each["content"]["application/json"]["schema"])
            if surface.name != "shared":
                assert set(schema["properties"]) == set(schema["required"]) == ERRORS[surface.name], name


@pytest.fixture
def held_against_it(client: FlaskClient) -> DescribedClient:
    """A client that fails at an answer that is not described."""
    client.application.test_client_class = DescribedClient
    held = client.application.test_client()
    assert isinstance(held, DescribedClient)
    return held


def test_answers_are_as_they_are_described(held_against_it: DescribedClient, admin: dict[str, str]) -> None:
    course = {"title": "A course", "content": [{"title": "One", "segments": ["First.", {"text": "Second.", "n": 1}]}]}
    made = held_against_it.post("/api/curriculum", json=course, headers=admin).get_json()["id"]
    for path in (
        *("/health", "/health/live", "/health/ready", "/api/stats", "/metrics", "/api/v1/metrics"),
        *("/api/auth/me", "/api/auth/keys", "/api/users", "/api/users?limit=-1"),
        *("/api/curriculum", f"/api/curriculum/{made}", "/api/curriculum/nothing", "/api/curriculum/search?q=second"),
        *(f"/api/curriculum/{made}/export", "/api/tts/voices", "/api/tts/cache?text=Hello", "/api/tts/cache/stats"),
        *("/api/pronunciations", "/api/pronunciations/file", "/api/jobs", "/api/jobs/nothing"),
        *("/v1/models", "/v1/models/tts-1", "/v1/models/nothing", "/v1/audio/voices"),
    ):
        held_against_it.get(path, headers=admin)
        held_against_it.get(path)


def test_an_answer_that_is_not_described_is_found(held_against_it: DescribedClient, admin: dict[str, str]) -> None:
    paths = openapi.document(held_against_it.application)["paths"]
    good = paths["/api/curriculum"]["get"]["responses"].pop("200")
    with pytest.raises(AssertionError, match="answered 200; described are 400"):
        held_against_it.get("/api/curriculum", headers=admin)
    paths["/api/curriculum"]["get"]["responses"]["200"] = good
    held_against_it.get("/api/curriculum", headers=admin)
    content = good["content"].pop("application/json")
    good["content"]["audio/wav"] = content
    with pytest.raises(AssertionError, match="described are audio/wav"):
        held_against_it.get("/api/curriculum", headers=admin)
    good["content"]["application/json"] = {"schema": {"type": "object", "required": ["courses"]}}
    with pytest.raises(AssertionError, match="'courses' is a required property"):
        held_against_it.get("/api/curriculum", headers=admin)


def test_a_surfaces_errors_are_as_they_are_described(described: dict[str, Any], client: FlaskClient) -> None:
    refused = {
        "ManagementError": client.get("/api/curriculum"),
        "OpenAIError": client.get("/v1/models"),
        "SharedError": client.get("/api/stats"),
    }
    for name, answer in refused.items():
        assert answer.status_code == 401
        assert_described(described, {"$ref": f"#/components/schemas/{name}"}, answer.get_json())
    with pytest.raises(ValidationError):
        assert_described(described, {"$ref": "#/components/schemas/ManagementError"}, {"detail": "No."})


def test_nothing_is_left_of_what_the_library_would_say(described: dict[str, Any]) -> None:
    assert not {"Error", "PaginationMetadata"} & set(described["components"]["schemas"])
    assert "responses" not in described["components"]


def test_every_operation_says_with_what_status_and_what_it_answers(
    described: dict[str, Any], lasting_client: FlaskClient
) -> None:
    known = views(lasting_client)
    undeclared = set()
    for name, operation in operations(described):
        good = {int(status): each for status, each in operation["responses"].items() if status.startswith("2")}
        assert set(good) == set(known[name].answers), name
        assert all(each["content"] for each in good.values()), name
        # A view that chooses its status is one that has to say which.
        chosen = str(inspect.signature(known[name]).return_annotation)
        if chosen.startswith("tuple[") and set(good) == {200}:
            undeclared.add(name)
    assert undeclared == set()


def test_audio_is_described_as_audio(described: dict[str, Any]) -> None:
    media = {each.media_type for each in AUDIO_FORMATS.values()}
    for method, path in (("post", "/api/tts"), ("get", "/api/speech/{key}.{extension}"), ("post", "/v1/audio/speech")):
        answer = described["paths"][path][method]["responses"]["200"]
        assert media <= set(answer["content"]), path
        assert "application/json" not in answer["content"], path
        assert "X-TTS-Cache-Status" in answer["headers"], path


def test_a_post_with_a_credential_takes_an_idempotency_key(described: dict[str, Any]) -> None:
    taking = {
        name
        for name, operation in operations(described)
        if any((each["in"], each["name"]) == ("header", "Idempotency-Key") for each in operation["parameters"])
    }
    guarded = {name for name, operation in operations(described) if name.startswith("POST") and operation["security"]}
    assert taking == guarded
    assert "POST /api/tts" in taking
    assert "POST /api/auth/login" not in taking


def test_429_is_described_where_requests_are_counted(described: dict[str, Any]) -> None:
    described_429 = {name for name, operation in operations(described) if "429" in operation["responses"]}
    assert {"POST /api/auth/login", "GET /api/curriculum", "POST /api/tts", "GET /api/stats"} <= described_429
    assert not {"GET /health", "GET /v1/models"} & described_429


def test_the_limits_of_a_field_are_shown(described: dict[str, Any]) -> None:
    speak = described["components"]["schemas"]["Speak"]["properties"]
    assert (speak["text"]["minLength"], speak["text"]["maxLength"]) == (1, 20_000)
    assert (speak["speed"]["minimum"], speak["speed"]["maximum"], speak["speed"]["default"]) == (0.25, 4.0, 1.0)
    assert speak["format"]["enum"] == sorted(AUDIO_FORMATS)
    assert speak["format"]["default"] == "wav"
    query = {each["name"]: each for each in described["paths"]["/api/users"]["get"]["parameters"]}
    assert query["limit"]["schema"]["minimum"] == 1
    assert query["limit"]["schema"]["default"] == 50
    assert "200" in query["limit"]["description"]


class Asked(Schema):
    """A body."""

    word = Text(required=True, minimum=2, maximum=30)


@pytest.mark.parametrize("surface", [GATEWAY, ADMINISTRATION, WAKEWORDS, TRANSCRIPTION], ids=lambda each: each.name)
def test_a_route_that_comes_later_is_described_from_its_declaration_alone(
    configured: Settings, surface: Surface
) -> None:
    blueprint = SurfaceBlueprint("later", surface=surface, description="What comes later")

    @blueprint.endpoint("/api/later/<int:thing_id>", access=ADMIN, methods=("POST",), refuses=(502,))
    @blueprint.arguments(Asked)
    def ask(body: dict[str, Any], thing_id: int) -> dict[str, Any]:
        """Asks ``somebody``.

        At length.

        Raises:
            Nothing.
        """
        return body

    app = create_app(configured)
    app.extensions["voiceworks-openapi"].api.register_blueprint(blueprint)
    described = openapi.document(app)
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()
    assert [str(fault) for fault in OpenAPIV31SpecValidator(described).iter_errors()] == []
    item = described["paths"]["/api/later/{thing_id}"]
    assert item["parameters"][0]["description"] == "The id of the thing"
    assert item["parameters"][0]["schema"]["type"] == "integer"
    operation = item["post"]
    assert (operation["summary"], operation["tags"]) == ("Asks somebody", ["later"])
    assert operation["description"] == "At length.\n\nRoles: admin."
    refused = {status for status in operation["responses"] if status != "200"}
    limited = {"429"} if configured.rate_limit_by_name.get(surface.name) else set()
    statuses = {str(surface.validation_status), "401", "403", "404", "409", "413", "502", "default"}
    assert refused == statuses | limited
    for status in refused:
        schema = resolved(described, operation["responses"][status]["content"]["application/json"]["schema"])
        assert set(schema["properties"]) == ERRORS[surface.name]
    group = next(each for each in described["x-tagGroups"] if "later" in each["tags"])
    about = next(each for each in described["tags"] if each["name"] == group["tags"][0])
    assert str(surface.port) in about["description"]


def test_an_open_surface_takes_no_credential_and_says_so(configured: Settings) -> None:
    app = create_app(replace(configured, open_surfaces=frozenset({"management"})))
    found = openapi.document(app)["paths"]
    assert {} in found["/api/curriculum"]["get"]["security"]
    assert {} not in found["/v1/models"]["get"]["security"]
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()
