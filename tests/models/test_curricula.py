"""Courses: stored whole and in order, found again, counted."""

from __future__ import annotations

import pytest
from sqlalchemy import event, func, select

from models import curricula
from models.curricula import Curriculum, NewSegment, NewTopic, Segment, Topic
from models.db import Database
from models.errors import Invalid, NotFound


def topic(title: str, *texts: str, **fields: object) -> NewTopic:
    return NewTopic(title, [NewSegment(text) for text in texts], **fields)  # type: ignore[arg-type]


def create(database: Database, *topics: NewTopic, title: str = "Birds", **fields: object) -> Curriculum:
    values: dict[str, object] = {"description": "", "extra": {}, "account_id": None} | fields
    with database.transaction() as session:
        return curricula.create(session, title=title, topics=topics, **values)  # type: ignore[arg-type]


def texts(database: Database, curriculum_id: str, topic_id: str | None = None) -> list[str]:
    with database.transaction() as session:
        return [segment.text for segment in curricula.segments(session, curriculum_id, topic_id)]


def test_a_course_is_read_in_the_order_it_was_written(database: Database) -> None:
    course = create(database, topic("z", "9", "1", "5"), topic("a", "7"), topic("m"), topic("b", "3", "2"))
    assert texts(database, course.id) == ["9", "1", "5", "7", "3", "2"]
    with database.transaction() as session:
        outline = curricula.outline(session, course.id)
    assert [(found.title, [segment.text for segment in parts]) for found, parts in outline] == [
        ("z", ["9", "1", "5"]),
        ("a", ["7"]),
        ("m", []),
        ("b", ["3", "2"]),
    ]


def test_what_the_client_sent_beside_is_kept(database: Database) -> None:
    segment = NewSegment("Hello.", id="s1", extra={"note": [1, None, "é"]})
    course = create(
        database, NewTopic("T", [segment], description="d", id="t1", extra={"x": {"y": 1}}), extra={"level": 3}
    )
    with database.transaction() as session:
        ((found, (part,)),) = curricula.outline(session, course.id)
        assert session.get_one(Curriculum, course.id).extra == {"level": 3}
    assert (found.id, found.description, found.extra) == ("t1", "d", {"x": {"y": 1}})
    assert (part.id, part.extra) == ("s1", {"note": [1, None, "é"]})


def test_ids_are_made_where_none_are_given(database: Database) -> None:
    course = create(database, topic("T", "a", "b"))
    with database.transaction() as session:
        ids = [segment.id for segment in curricula.segments(session, course.id)]
    assert len(set(ids)) == 2
    assert all(len(found) == 32 for found in ids)


def test_the_segments_of_one_topic(database: Database) -> None:
    course = create(database, topic("A", "1", id="t1"), topic("B", "2", "3", id="t2"))
    assert texts(database, course.id, "t2") == ["2", "3"]


def test_another_course_s_topic_is_not_found(database: Database) -> None:
    create(database, topic("A", "1", id="theirs"))
    mine = create(database, topic("B", "2", id="mine"))
    for topic_id in ("theirs", "nothing"):
        with pytest.raises(NotFound, match=f"'{topic_id}'"):
            texts(database, mine.id, topic_id)


def test_an_unknown_course_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound, match="'nothing'"):
        texts(database, "nothing")
    with pytest.raises(NotFound, match="'nothing'"), database.transaction() as session:
        curricula.get(session, "nothing")


def stored(database: Database) -> list[int | None]:
    """How many courses, topics and segments there are."""
    with database.transaction() as session:
        return [session.scalar(select(func.count()).select_from(table)) for table in (Curriculum, Topic, Segment)]


def test_two_courses_may_number_their_topics_alike_and_two_topics_their_segments(database: Database) -> None:
    numbered = [NewTopic(f"T{n}", [NewSegment(f"{n}", id="1")], id=str(n)) for n in (1, 2)]
    courses = [create(database, *numbered), create(database, *numbered)]
    assert stored(database) == [2, 4, 4]
    assert [texts(database, course.id, "2") for course in courses] == [["2"], ["2"]]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([NewTopic("A", [], id="twice"), NewTopic("B", [], id="twice")], "Topic id 'twice'"),
        (
            [NewTopic("A", [NewSegment("x", id="twice"), NewSegment("y", id="twice")])],
            "Segment id 'twice'",
        ),
    ],
)
def test_ids_that_are_given_twice_are_refused_and_nothing_is_stored(
    database: Database, given: list[NewTopic], named: str
) -> None:
    with pytest.raises(Invalid, match=named):
        create(database, *given)
    assert stored(database) == [0, 0, 0]


def test_a_large_course_is_stored_and_read_in_few_statements(database: Database) -> None:
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    course = create(database, *[topic(f"T{n}", *[f"{n}.{m}" for m in range(40)]) for n in range(25)])
    assert len(texts(database, course.id)) == 1000
    with database.transaction() as session:
        curricula.outline(session, course.id)
    assert len(statements) < 30


def test_pages_list_the_newest_first_with_their_sizes(database: Database) -> None:
    first = create(database, topic("A", "1", "2"), topic("B"), title="first")
    second = create(database, title="second")
    third = create(database, topic("A", "1"), title="third")
    with database.transaction() as session:
        listed, total = curricula.page(session, limit=2, offset=0)
        rest, _ = curricula.page(session, limit=2, offset=2)
    assert total == 3
    assert [(found.curriculum.id, found.topic_count, found.segment_count) for found in [*listed, *rest]] == [
        (third.id, 1, 1),
        (second.id, 0, 0),
        (first.id, 2, 2),
    ]


def test_pages_behind_the_end_are_empty(database: Database) -> None:
    create(database)
    with database.transaction() as session:
        assert curricula.page(session, limit=5, offset=7) == ([], 1)


def test_a_course_is_found_by_its_title_the_newest_first(database: Database) -> None:
    create(database, title="Birds")
    newest = create(database, title="Birds")
    with database.transaction() as session:
        found = curricula.by_title(session, "Birds")
        assert found is not None
        assert found.id == newest.id
        assert curricula.by_title(session, "birds") is None
