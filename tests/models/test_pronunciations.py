"""How words are said: which entry counts, where it occurs, and what its texts depend on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import curricula, pronunciations, speech_voices
from models.db import Database
from models.errors import Invalid, NotFound
from models.pronunciations import Lexicon
from tests import making
from workers.text import lexicon as front_end


def put(database: Database, entries: dict[str, str], course: str | None = None) -> list[str]:
    """The ids of the entries, stored."""
    with database.transaction() as session:
        return [entry.id for entry in pronunciations.put(session, course, entries)]


def entries(database: Database, course: str | None = None) -> dict[str, str]:
    with database.transaction() as session:
        return pronunciations.entries(session, course)


def page(database: Database, course: str | None = None) -> list[tuple[str, str]]:
    with database.transaction() as session:
        return [(entry.written, entry.spoken) for entry in pronunciations.page(session, course)[0]]


@pytest.fixture
def course(database: Database) -> str:
    """A course."""
    with database.transaction() as session:
        return curricula.create(session, title="C", description="", topics=[], extra={}, account_id=None).id


# --- Storing ---------------------------------------------------------------------------------------------------------


def test_an_entry_is_stored_tidily_and_listed_by_its_written_form(database: Database) -> None:
    put(database, {"  New \n York ": " noo  york ", "Acme": "/ˈækmi/"})
    assert page(database) == [("Acme", "/ˈækmi/"), ("New York", "noo york")]


def test_an_entry_takes_the_place_of_one_with_the_same_letters(database: Database) -> None:
    (first,) = put(database, {"Acme": "one"})
    (second,) = put(database, {"ACME": "two"})
    assert second == first
    assert page(database) == [("ACME", "two")]


def test_of_two_spellings_in_one_file_the_last_counts(database: Database) -> None:
    assert len(put(database, {"Zebra": "z", "acme": "one", "ACME": "two", "Acme": "three"})) == 2
    assert page(database) == [("Acme", "three"), ("Zebra", "z")]


def test_two_files_stored_at_once_do_not_wait_for_each_other(database: Database) -> None:
    names = [f"name {number}" for number in range(300)]
    making.at_once(
        4, lambda number: put(database, dict.fromkeys(names[::-1] if number % 2 else names, f"said {number}"))
    )
    assert len(page(database)) == 300
    assert len({spoken for _, spoken in page(database)}) == 1


def test_a_course_s_entry_stands_beside_the_general_one_and_overrules_it(database: Database, course: str) -> None:
    put(database, {"Acme": "general", "Nováková": "no va ko va"})
    put(database, {"acme": "of the course"}, course)
    assert entries(database) == {"Acme": "general", "Nováková": "no va ko va"}
    assert entries(database, course) == {"acme": "of the course", "Nováková": "no va ko va"}
    assert entries(database, "another course") == entries(database)
    assert page(database, course) == [("acme", "of the course")]


def test_a_course_takes_its_entries_along(database: Database, course: str) -> None:
    put(database, {"Acme": "of the course"}, course)
    put(database, {"Acme": "general"})
    with database.transaction() as session:
        session.delete(session.get_one(curricula.Curriculum, course))
    assert entries(database, course) == {"Acme": "general"}
    assert page(database, course) == []


def test_a_removed_entry_counts_no_more(database: Database) -> None:
    (entry,) = put(database, {"Acme": "one"})
    with database.transaction() as session:
        pronunciations.remove(session, entry)
    assert entries(database) == {}
    with pytest.raises(NotFound, match=entry), database.transaction() as session:
        pronunciations.remove(session, entry)


def test_there_is_no_entry_of_a_course_that_is_not_there(database: Database) -> None:
    with pytest.raises(NotFound, match="'nothing'"):
        put(database, {"Acme": "one"}, "nothing")


@pytest.mark.parametrize(
    ("written", "spoken", "name"),
    [
        ("", "one", "written"),
        ("…", "one", "written: '…'"),
        ("x" * 101, "one", "written"),
        ("Acme", "", "spoken"),
        ("Acme", "!", "spoken: '!'"),
        ("Acme", "x" * 201, "spoken"),
        ("Acme", "/ækmi", "IPA"),
        ("Acme", "ækmi/", "IPA"),
        ("Acme", "[x](/y/)", "IPA"),
        ("Acme", "/", "spoken"),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_stored(
    database: Database, written: str, spoken: str, name: str
) -> None:
    with pytest.raises(Invalid) as refused:
        put(database, {"Before": "fine", written: spoken, "Zebra": "fine"})
    assert name in refused.value.message
    assert entries(database) == {}


def test_there_are_no_more_entries_than_may_be_looked_for(
    database: Database, course: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pronunciations, "MAX_ENTRIES", 3)
    put(database, {"a": "x", "b": "x", "c": "x"})
    put(database, {"A": "y"})
    # Another scope has its own.
    put(database, {"d": "x", "e": "x", "f": "x"}, course)
    with pytest.raises(Invalid, match="3"):
        put(database, {"d": "x"})
    with pytest.raises(Invalid, match="3"):
        put(database, {"d": "x", "e": "x", "f": "x", "g": "x"})
    assert len(page(database)) == 3


def test_no_entry_is_longer_than_the_front_end_takes() -> None:
    assert max(pronunciations.MAX_SPOKEN_CHARACTERS, pronunciations.MAX_WRITTEN_CHARACTERS) <= front_end.LONGEST_READING


# --- Looking ---------------------------------------------------------------------------------------------------------


def found(text: str, *written: str) -> list[str]:
    return list(Lexicon(dict.fromkeys(written, "said")).matching(text))


@pytest.mark.parametrize(
    ("text", "written", "wanted"),
    [
        ("Acme makes it.", ["Acme"], ["Acme"]),
        ("acme makes it.", ["Acme"], ["Acme"]),
        ("ACME makes it.", ["acme"], ["acme"]),
        ("Acmes are many.", ["Acme"], []),
        ("MyAcme", ["Acme"], []),
        ("(Acme)", ["Acme"], ["Acme"]),
        ("Acme-like", ["Acme"], ["Acme"]),
        ("It is IT.", ["IT"], ["IT"]),
        ("It is it.", ["IT"], []),
        ("In New York.", ["New York", "York"], ["New York"]),
        ("In York and New York.", ["New York", "York"], ["New York", "York"]),
        ("In New   York.", ["New York"], ["New York"]),
        ("In New\nYork.", ["New York"], ["New York"]),
        ("In New York City.", ["York City", "New York"], ["New York"]),
        ("Learn C++ now.", ["C++"], ["C++"]),
        ("Learn C now.", ["C++"], []),
        ("The .NET way.", [".NET"], [".NET"]),
        ("Paní Nováková přišla.", ["nováková"], ["nováková"]),
        ("a.b", ["a.b"], ["a.b"]),
        ("axb", ["a.b"], []),
        ("", ["Acme"], []),
        ("Acme", [], []),
    ],
)
def test_an_entry_occurs_as_whole_words_the_longest_first(text: str, written: list[str], wanted: list[str]) -> None:
    assert found(text, *written) == wanted


class Noting:
    """In the place of the front end's store: notes what was held."""

    def __init__(self) -> None:
        self.written: set[str] = set()

    def hold(self, written: str, spoken: str, *_: Any, **__: Any) -> str:
        """As ``workers.text.held.Held``."""
        self.written.add(written.lower())
        return "\ue000"


words = st.text("aAbé.+' ", max_size=14).map(lambda text: " ".join(text.split()))


@given(
    st.lists(words, max_size=8), st.dictionaries(words.filter(lambda word: any(map(str.isalnum, word))), st.just("x"))
)
def test_an_entry_occurs_where_the_front_end_will_find_it(texts: list[str], lexicon: dict[str, str]) -> None:
    text = " ".join(" ".join(texts).split())
    noting: Any = Noting()
    front_end.apply(text, front_end.Lexicon(lexicon), noting)
    assert {written.lower() for written in Lexicon(lexicon).matching(text)} == noting.written


def test_only_the_texts_in_which_an_entry_occurs_depend_on_it() -> None:
    resolution = speech_voices.resolve({}, "nova", None)
    texts = ["Acme makes it.", "Nobody makes it.", "It is in New York."]
    plain = [resolution.clip(text, 1.0).key for text in texts]
    one, other = (
        [resolution.clip(text, 1.0, lexicon=Lexicon({"Acme": said, "York": "x", "Zebra": "z"})).key for text in texts]
        for said in ("ack me", "/ˈækmi/")
    )
    assert [a == b for a, b in zip(plain, one, strict=True)] == [False, True, False]
    assert [a == b for a, b in zip(one, other, strict=True)] == [False, True, True]
    assert plain == [resolution.clip(text, 1.0, lexicon=Lexicon({})).key for text in texts]


def test_the_order_of_the_entries_is_not_in_the_key() -> None:
    entries = {"Acme": "ack me", "York": "yoke"}
    backwards = dict(reversed(entries.items()))
    specs = [
        making.spec("Acme of York.", options={"lexicon": Lexicon(e).matching("Acme of York.")})
        for e in (entries, backwards)
    ]
    assert specs[0].key == specs[1].key
