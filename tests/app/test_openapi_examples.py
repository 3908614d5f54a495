"""The documents' examples in the API's description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.openapi import documented
from tests.described import assert_described, operations


def test_every_example_of_the_documents_that_has_a_route_is_shown(
    described: dict[str, Any], lasting_client: FlaskClient
) -> None:
    shown = [
        example["value"]
        for _, operation in operations(described)
        for place in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in place.get("content", {}).values()
        for example in content.get("examples", {}).values()
    ]
    router = lasting_client.application.url_map.bind("localhost")
    answered = 0
    for each in documented.requests():
        if router.test(re.sub(r"\{\w+\}", "1", each.path), each.method):
            for example in each.bodies + each.answers:
                answered += 1
                assert example in shown, f"{each.method} {each.path}"
    assert answered > 10


def test_every_example_is_as_its_schema_says(described: dict[str, Any]) -> None:
    checked = 0
    for _, operation in operations(described):
        for place in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in place.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    assert_described(described, content["schema"], example["value"])
                    checked += 1
                if "example" in content:
                    assert_described(described, content["schema"], content["example"])
    assert checked > 10


def test_without_the_documents_all_but_the_examples_is_there(tmp_path: Path) -> None:
    assert documented.requests(tmp_path) == []


@pytest.mark.parametrize(
    ("written", "method", "path", "bodies", "answers"),
    [
        (
            '```\nPOST /a\n\n{"b": [...]}\n```\n\nResponse:\n```json\n{"c": { ... }}\n```',
            "POST",
            "/a",
            [{"b": []}],
            [{"c": {}}],
        ),
        ("```http\nGET /a?b=1\n```\n", "GET", "/a", [], []),
        ('**POST** `/a/{id}`\n\n**Request Body:**\n```json\n{"b": 1}\n```', "POST", "/a/{id}", [{"b": 1}], []),
        ('#### GET `/a`\n\n**Example Response**:\n```json\n{"b": "x|y"}\n```', "GET", "/a", [], [{"b": "x"}]),
        ('```\nGET /a\n```\n## Error Responses\n```json\n{"error": "no"}\n```', "GET", "/a", [], []),
        ("```\nGET /a\n```\n**Example:**\n```bash\ncurl -X GET /b\n```", "GET", "/a", [], []),
    ],
    ids=["management", "a query", "transcription", "administration", "another heading", "a command"],
)
def test_a_request_is_found_however_a_document_writes_it(
    tmp_path: Path, written: str, method: str, path: str, bodies: list[Any], answers: list[Any]
) -> None:
    (tmp_path / "gateway.md").write_text(written)
    (found,) = documented.requests(tmp_path)
    assert (found.document, found.method, found.path) == ("gateway", method, path)
    assert (found.bodies, found.answers) == (bodies, answers)
