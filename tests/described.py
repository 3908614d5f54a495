"""A test client that holds every answer against the API's description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app import openapi


class DescribedClient(FlaskClient):
    """Fails at an answer whose status, media type or JSON is not described for its operation."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Sends a request, and looks at the answer."""
        answer = super().open(*args, **kwargs)
        fault = undescribed(self, answer)
        assert fault is None, fault
        return answer


def undescribed(client: FlaskClient, answer: TestResponse) -> str | None:
    """What of an answer the description does not know; None of one that is as it says, or no operation's."""
    request = answer.request
    described = openapi.document(client.application)
    try:
        rule, _ = client.application.url_map.bind_to_environ(request.environ).match(return_rule=True)
    except HTTPException:
        return None
    path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
    operation = described["paths"].get(path, {}).get(request.method.lower())
    # A path that cannot be one is refused before it is anybody's.
    if "\0" in request.path:
        return None
    # Not modified is an answer to a condition, not to the operation; 499 is not sent to anybody.
    if operation is None or answer.status_code in (304, 499):
        return None
    name = f"{request.method} {path}"
    responses = operation["responses"]
    response = responses.get(str(answer.status_code), responses["default"] if answer.status_code >= 500 else None)
    if response is None:
        return f"{name} answered {answer.status_code}; described are {', '.join(responses)}: {answer.text[:200]}"
    content = response["content"].get(answer.mimetype)
    if content is None:
        return f"{name} answered {answer.mimetype}; described are {', '.join(response['content'])}"
    if answer.mimetype != "application/json":
        return None
    schema = {**content["schema"], "components": described["components"]}
    faults = [f"{fault.json_path}: {fault.message}" for fault in OAS31Validator(schema).iter_errors(answer.get_json())]
    return f"{name} answered what is not described: {'; '.join(faults)[:500]}" if faults else None


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation as ``GET /path``, with the parameters of its path."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                shared = item.get("parameters", []) + operation.get("parameters", [])
                yield f"{method.upper()} {path}", operation | {"parameters": shared}


def resolved(described: dict[str, Any], value: Any) -> Any:
    """What a reference points to; anything else as it is."""
    if isinstance(value, dict) and "$ref" in value:
        found: Any = described
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found
    return value


def assert_described(described: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Fails unless a value is as a schema of the description says."""
    OAS31Validator({**schema, "components": described["components"]}).validate(value)
