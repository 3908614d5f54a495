"""Courses over HTTP while somebody else changes them."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from models import curricula, curricula_changes
from models.curricula import Curriculum, NewSegment, NewTopic
from models.db import Database


@pytest.mark.parametrize("path", ["", "/export"])
def test_a_course_is_shown_as_it_was_at_one_moment(
    client: FlaskClient, admin: dict[str, str], database: Database, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    content = [{"title": "Before", "segments": ["One."]}]
    made = client.post("/api/curriculum", json={"title": "Before", "content": content}, headers=admin).get_json()
    get = curricula.get

    def get_and_change(session: Session, curriculum_id: str) -> Curriculum:
        found = get(session, curriculum_id)
        with database.transaction() as other:
            topics = [NewTopic("After", [NewSegment("Two.")], id="another")]
            curricula_changes.change(other, curriculum_id, fields={"title": "After"}, topics=topics)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(curricula, "get", get_and_change)
        shown = client.get(f"/api/curriculum/{made['id']}{path}", headers=admin).get_json()
    assert [shown["title"], *(topic["title"] for topic in shown["content"])] == ["Before", "Before"]
    assert client.get(f"/api/curriculum/{made['id']}", headers=admin).get_json()["title"] == "After"
