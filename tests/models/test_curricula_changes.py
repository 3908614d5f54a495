"""A changed course keeps the ids of what stays; a removed one takes nothing with it that is not its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from models import curricula, curricula_changes, curricula_search, sessions
from models.curricula import NewSegment, NewTopic, Segment, Topic
from models.db import Database
from models.errors import Invalid, NotFound
from tests import making


def old(*topics: tuple[str, str, list[tuple[str, str]]]) -> list[tuple[Topic, list[Segment]]]:
    """Topics as (id, title, [(segment id, text)])."""
    return [
        (Topic(id=key, title=title), [Segment(id=part, text=said) for part, said in parts])
        for key, title, parts in topics
    ]


def ids(kept: list[NewTopic]) -> list[tuple[str | None, list[str | None]]]:
    return [(topic.id, [part.id for part in topic.segments]) for topic in kept]


def new(title: str, *texts: str, key: str | None = None) -> NewTopic:
    return NewTopic(title, [NewSegment(said) for said in texts], id=key)


BEFORE = old(("t1", "One", [("a", "First."), ("b", "Second.")]), ("t2", "Two", [("c", "Third.")]))


def test_what_moved_is_known_by_its_text() -> None:
    kept = curricula_changes.keep_ids(BEFORE, [new("Two", "Third."), new("One", "Second.", "First.")])
    assert ids(kept) == [("t2", ["c"]), ("t1", ["b", "a"])]


def test_what_was_rewritten_is_known_by_its_place() -> None:
    kept = curricula_changes.keep_ids(BEFORE, [new("Uno", "First.", "Secondo.", "More."), new("Due", "Terzo.")])
    assert ids(kept) == [("t1", ["a", "b", None]), ("t2", ["c"])]


def test_a_text_counts_before_a_place() -> None:
    kept = curricula_changes.keep_ids(BEFORE, [new("One", "Second.", "New.")])
    # "Second." keeps b although a stood there; what is new takes neither's place.
    assert ids(kept) == [("t1", ["b", None])]


def test_an_id_that_is_given_is_nobody_else_s() -> None:
    kept = curricula_changes.keep_ids(BEFORE, [new("One", "First."), new("Else", "x", key="t1")])
    assert ids(kept) == [(None, [None]), ("t1", ["a"])]


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=4),
    st.lists(st.lists(st.sampled_from("abcd"), max_size=5), max_size=5),
)
def test_no_id_is_kept_twice(before: list[list[str]], after: list[list[str]]) -> None:
    stored = old(
        *(
            (f"t{n}", "".join(parts), [(f"s{at}", said) for at, said in enumerate(parts)])
            for n, parts in enumerate(before)
        )
    )
    kept = curricula_changes.keep_ids(stored, [new("".join(parts) or "-", *parts) for parts in after])
    topics = [topic.id for topic in kept if topic.id]
    assert len(set(topics)) == len(topics)
    for topic in kept:
        parts = [part.id for part in topic.segments if part.id]
        assert len(set(parts)) == len(parts)
    # The same again keeps everything.
    if before == after:
        assert topics == [topic.id for topic, _ in stored]


def store(database: Database, title: str, *texts: str) -> str:
    with database.transaction() as session:
        topics = [new("Only", *texts)]
        return curricula.create(session, title=title, description="", topics=topics, extra={}, account_id=None).id


def test_a_refused_change_changes_nothing(database: Database) -> None:
    course = store(database, "Kept", "One.", "Two.")
    doubled = [new("A", "x", key="same"), new("B", "y", key="same")]
    with pytest.raises(Invalid, match="given more than once"), database.transaction() as session:
        curricula_changes.change(session, course, fields={"title": "Lost"}, topics=doubled)
    with database.transaction() as session:
        assert curricula.get(session, course).title == "Kept"
        assert [part.text for part in curricula.segments(session, course)] == ["One.", "Two."]


def test_changes_at_once_leave_one_of_them_whole(database: Database) -> None:
    course = store(database, "Course", "One.")

    def change(number: int) -> None:
        with database.transaction() as session:
            texts = [f"Text {number}.{at}" for at in range(20)]
            curricula_changes.change(session, course, fields={"title": f"T{number}"}, topics=[new("Only", *texts)])

    making.at_once(6, change)
    with database.transaction() as session:
        winner = curricula.get(session, course).title.removeprefix("T")
        texts = [part.text for part in curricula.segments(session, course)]
    assert texts == [f"Text {winner}.{at}" for at in range(20)]


def test_a_course_that_is_removed_many_times_at_once_is_removed_once(database: Database) -> None:
    course = store(database, "Course", "One.")
    jobs = [making.submit(database, kind="speech.prefetch", params={"curriculum_id": course}) for _ in range(3)]

    def remove(_: int) -> bool:
        try:
            with database.transaction() as session:
                curricula_changes.remove(session, course, force=True)
        except NotFound:
            return False
        return True

    assert making.at_once(6, remove).count(True) == 1
    assert {making.read(database, job).state for job in jobs} == {"cancelled"}


def test_a_course_is_removed_by_force_also_when_what_works_on_it_ends_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = store(database, "Course", "One.")
    job = making.submit(database, kind="speech.prefetch", params={"curriculum_id": course})
    listeners = sessions.of_curriculum

    def end_first(session: Session, curriculum_id: str) -> list[str]:
        making.end_well(database, job)
        return listeners(session, curriculum_id)

    monkeypatch.setattr(sessions, "of_curriculum", end_first)
    with database.transaction() as session:
        curricula_changes.remove(session, course, force=True)
    with database.transaction() as session, pytest.raises(NotFound):
        curricula.get(session, course)
    assert making.read(database, job).state == "succeeded"


def test_a_course_that_is_changed_while_it_is_read_is_read_as_it_was(database: Database) -> None:
    course = store(database, "Before", "One.")
    with database.snapshot() as reading:
        assert curricula.get(reading, course).title == "Before"
        with database.transaction() as session:
            topics = [new("Other", "Two.", key="other")]
            curricula_changes.change(session, course, fields={"title": "After"}, topics=topics)
        ((topic, (segment,)),) = curricula.outline(reading, course)
        assert (topic.title, segment.text) == ("Only", "One.")
    with database.snapshot() as reading:
        assert curricula.get(reading, course).title == "After"


def test_a_course_that_is_not_there_is_not_found(database: Database) -> None:
    with database.transaction() as session:
        for act in (
            lambda: curricula_changes.change(session, "gone", fields={}),
            lambda: curricula_changes.remove(session, "gone", force=False),
        ):
            with pytest.raises(NotFound, match="'gone'"):
                act()


def test_a_title_counts_more_than_a_text_and_pages_follow_each_other(database: Database) -> None:
    mentioned = store(database, "Sailing", "A clock stood in the cabin.")
    titled = store(database, "The clock", "It went well at sea.")
    store(database, "Bread", "Flour and water.")
    with database.transaction() as session:
        both, total = curricula_search.search(session, "clocks", limit=10, offset=0)
        second, _ = curricula_search.search(session, "clocks", limit=1, offset=1)
    assert ([hit.curriculum.id for hit in both], total) == ([titled, mentioned], 2)
    assert [hit.curriculum.id for hit in second] == [mentioned]


@pytest.mark.parametrize("text", ["'", '"', "&|!", "\\", "a:*", "((", "-", "or or", "é ñ 日本"])
def test_any_text_may_be_looked_for(database: Database, text: str) -> None:
    with database.transaction() as session:
        assert curricula_search.search(session, text, limit=5, offset=0) == ([], 0)


def test_the_index_is_used(database: Database) -> None:
    store(database, "Course", "One.")
    query = "select id from segments where to_tsvector('english', text) @@ websearch_to_tsquery('english', 'one')"
    with database.transaction() as session:
        session.execute(sql("set local enable_seqscan = off"))
        plan = " ".join(session.scalars(sql(f"explain {query}")))
    assert "ix_segments_words" in plan
