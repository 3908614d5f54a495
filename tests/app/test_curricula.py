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


ABOUT = {
    "language": "en",
    "license": {"name": "CC BY 4.0", "words": "Licensed under CC BY 4.0.", "verdict": "allowed", "url": None},
    "attribution": "“Tides” by Ada Marsh. CC BY 4.0.",
    "authors": ["Ada Marsh"],
}


def test_an_export_says_whose_the_course_is_and_makes_the_same_course(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    with database.transaction() as session:
        told = ABOUT | {"imported_from": {"source": "file"}}
        topics = [NewTopic("One", [NewSegment("First.")], id="t1")]
        stored = curricula.create(session, title="Tides", description="", topics=topics, extra=told, account_id=None).id
    exported = client.get(f"/api/curriculum/{stored}/export", headers=admin).get_json()
    assert {name: exported[name] for name in ABOUT} == ABOUT
    assert set(exported) == {"title", "description", "content", *ABOUT}
    made = client.post("/api/curriculum", json=exported, headers=admin)
    assert made.status_code == 201, made.text
    again = client.get(f"/api/curriculum/{made.get_json()['id']}/export", headers=admin).get_json()
    assert {name: again[name] for name in ABOUT} == ABOUT


@pytest.mark.parametrize("wrong", [{"verdict": "perhaps", "name": "X"}, {"words": "No name."}, "CC BY 4.0"])
def test_a_licence_that_is_none_is_refused(client: FlaskClient, admin: dict[str, str], wrong: object) -> None:
    answer = client.post("/api/curriculum", json={"title": "Tides", "license": wrong}, headers=admin)
    assert (answer.status_code, "license" in answer.get_json()["error"]) == (400, True)


def test_whose_a_course_is_can_be_changed_and_what_is_not_named_stays(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    made = client.post("/api/curriculum", json={"title": "Tides", **ABOUT}, headers=admin).get_json()
    changed = client.put(f"/api/curriculum/{made['id']}", json={"authors": ["Bo Reed"]}, headers=admin)
    assert changed.status_code == 200
    assert {name: changed.get_json()[name] for name in ABOUT} == ABOUT | {"authors": ["Bo Reed"]}
    assert changed.get_json()["title"] == "Tides"
    assert client.put("/api/curriculum/none", json={"authors": ["A"]}, headers=admin).status_code == 404
