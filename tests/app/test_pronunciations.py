"""How words are said, over HTTP: by entry and as a file, for all texts and for one course, and really heard."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app.api.pronunciations import from_csv, to_csv
from models.db import Database
from models.pronunciations import MAX_ENTRIES, Pronunciation
from tests.app.conftest import row_counts

PATH, FILE = "/api/pronunciations", "/api/pronunciations/file"


@pytest.fixture
def course(client: FlaskClient, admin: dict[str, str]) -> str:
    """A course with one segment."""
    content = [{"id": "t", "title": "T", "segments": ["Acme makes it."]}]
    return client.post("/api/curriculum", json={"title": "C", "content": content}, headers=admin).get_json()["id"]


class Desk:
    """An operator who says how words are said."""

    def __init__(self, http: FlaskClient, headers: dict[str, str]) -> None:
        self.http = http
        self.headers = headers

    def put(self, written: str, spoken: str, course: str | None = None) -> str:
        """The id of a new entry."""
        body = {"written": written, "spoken": spoken, "curriculum_id": course}
        answer = self.http.post(PATH, json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        self.known()
        return answer.get_json()["id"]

    def known(self) -> None:
        """What a web process read a second ago counts no more."""
        self.http.application.extensions["voiceworks"].lexicons._known.clear()

    def upload(self, content: str | bytes, course: str | None = None) -> TestResponse:
        """The answer to a file."""
        query = {"curriculum_id": course} if course else {}
        return self.http.put(FILE, data=content, query_string=query, headers=self.headers)

    def entries(self, course: str | None = None) -> dict[str, str]:
        """What is listed."""
        query = {"curriculum_id": course} if course else {}
        body = self.http.get(PATH, query_string=query, headers=self.headers).get_json()
        assert body["total"] == len(body["pronunciations"])
        return {entry["written"]: entry["spoken"] for entry in body["pronunciations"]}

    def speak(self, text: str, **fields: Any) -> TestResponse:
        """The spoken text."""
        answer = self.http.post("/api/tts", json={"text": text} | fields, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture
def desk(client: FlaskClient, admin: dict[str, str]) -> Desk:
    """The desk of the administrator."""
    return Desk(client, admin)


# --- Entries ---------------------------------------------------------------------------------------------------------


def test_an_entry_is_stored_listed_replaced_and_removed(desk: Desk) -> None:
    answer = desk.http.post(PATH, json={"written": "Acme", "spoken": "ack me"}, headers=desk.headers)
    entry = answer.get_json()
    assert (answer.status_code, set(entry)) == (201, {"id", "written", "spoken", "curriculum_id"})
    assert entry["curriculum_id"] is None
    assert desk.put("ACME", "ack mee") == entry["id"]
    assert desk.entries() == {"ACME": "ack mee"}
    removed = desk.http.delete(f"{PATH}/{entry['id']}", headers=desk.headers)
    assert (removed.status_code, entry["id"] in removed.get_json()["message"]) == (200, True)
    assert desk.http.delete(f"{PATH}/{entry['id']}", headers=desk.headers).status_code == 404
    assert desk.entries() == {}


def test_a_course_has_entries_of_its_own_which_go_with_it(desk: Desk, course: str, database: Database) -> None:
    desk.put("Acme", "ack me")
    desk.put("Acme", "the company", course)
    assert (desk.entries(), desk.entries(course)) == ({"Acme": "ack me"}, {"Acme": "the company"})
    assert desk.entries("nothing") == {}
    missing = desk.http.post(
        PATH, json={"written": "a", "spoken": "b", "curriculum_id": "nothing"}, headers=desk.headers
    )
    assert (missing.status_code, missing.get_json()["code"]) == (404, "NOT_FOUND")
    assert row_counts(database)["pronunciations"] == 2


def test_a_client_may_read_but_not_write(desk: Desk, customer: dict[str, str]) -> None:
    entry = desk.put("Acme", "ack me")
    http = desk.http
    assert http.get(PATH, headers=customer).status_code == 200
    assert http.get(FILE, headers=customer).status_code == 200
    refused = [
        http.post(PATH, json={"written": "a", "spoken": "b"}, headers=customer),
        http.put(FILE, data="a,b", headers=customer),
        http.delete(f"{PATH}/{entry}", headers=customer),
    ]
    assert {answer.status_code for answer in refused} == {403}
    assert desk.entries() == {"Acme": "ack me"}


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_goes_up_and_comes_down_as_it_was(desk: Desk, course: str) -> None:
    content = 'written,spoken\nAcme,"ack, me"\nNew York,/nuː jɔːk/\n"say ""hi""",say hi\n'
    for scope in (None, course):
        answer = desk.upload(content, scope)
        assert (answer.status_code, answer.get_json()["stored"]) == (200, 3)
        query = {"curriculum_id": scope} if scope else {}
        down = desk.http.get(FILE, query_string=query, headers=desk.headers)
        assert down.content_type.partition(";")[0] == "text/csv"
        assert "pronunciations.csv" in down.headers["Content-Disposition"]
        assert down.text == content
    assert desk.upload(content).get_json()["stored"] == 3
    assert len(desk.entries()) == 3


def test_a_file_is_put_beside_what_is_there(desk: Desk) -> None:
    desk.upload("Acme,one\nBeta,two\n")
    desk.upload("acme,three\nGamma,four\n")
    assert desk.entries() == {"acme": "three", "Beta": "two", "Gamma": "four"}


@pytest.mark.parametrize(
    "content",
    [
        "written,spoken\nAcme,ack me\n",
        "Acme,ack me",
        "\ufeffWritten, Spoken\r\nAcme , ack me\r\n\r\n",
        "Acme,ack me\r",
    ],
)
def test_files_of_other_programs_are_read(content: str) -> None:
    assert from_csv(content.encode()) == {"Acme": "ack me"}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("written,spoken\nAcme,ack me\nBeta\n", ("line 3", "'Beta'", "1 fields")),
        ("Acme,ack me\nBeta,b,c\n", ("line 2", "3 fields")),
        ("Acme,ack me\n,nothing\n", ("line 2", "written")),
        ("Acme,ack me\n\n\n…,dots\n", ("line 4", "written")),
        ("Acme,ack me\nBeta,\n", ("line 2", "spoken")),
        ("Acme,ack me\nBeta,/x\n", ("line 2", "IPA")),
        ('Acme,"ack\nme"\nBeta,!\n', ("line 3", "spoken")),
        (f"Acme,ack me\n{'x' * 101},long\n", ("line 2", "written")),
        ("Acme,ack me\nBeta,a\0b\n", ("NUL",)),
        (b"Acme,ack me\nBeta,\xff\n", ("UTF-8", "byte 17")),
        (f"Acme,ack me\nBeta,{'x' * 200_000}\n", ("line 2",)),
    ],
)
def test_a_bad_line_is_named_and_nothing_of_its_file_is_stored(
    desk: Desk, content: str | bytes, names: tuple[str, ...]
) -> None:
    desk.put("Acme", "as before")
    answer = desk.upload(content)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "VALIDATION_ERROR")
    for name in names:
        assert name in answer.get_json()["error"]
    assert desk.entries() == {"Acme": "as before"}


def test_an_empty_file_changes_nothing(desk: Desk) -> None:
    desk.put("Acme", "ack me")
    for content in ("", "written,spoken\n", "\n\n"):
        assert desk.upload(content).get_json()["stored"] == 0
    assert desk.entries() == {"Acme": "ack me"}


def test_as_many_entries_as_there_may_be_come_in_one_file(desk: Desk, database: Database) -> None:
    began = time.monotonic()
    answer = desk.upload("".join(f"word{number},said {number}\n" for number in range(MAX_ENTRIES)))
    print(f"{MAX_ENTRIES} entries in {time.monotonic() - began:.2f} s")
    assert answer.get_json()["stored"] == MAX_ENTRIES
    assert desk.upload("one more,said").status_code == 400
    too_many = desk.upload("".join(f"new{number},said\n" for number in range(MAX_ENTRIES + 1)))
    assert (too_many.status_code, str(MAX_ENTRIES) in too_many.get_json()["error"]) == (400, True)
    assert row_counts(database)["pronunciations"] == MAX_ENTRIES


letters = st.characters(codec="utf-8", exclude_characters="[]/\0")
tidy = (
    st.text(letters, max_size=40).map(lambda text: " ".join(text.split())).filter(lambda text: re.search("[a-z]", text))
)


@given(st.dictionaries(tidy, tidy, max_size=8))
def test_what_is_written_into_a_file_is_read_from_it(entries: dict[str, str]) -> None:
    rows = [Pronunciation(written=written, spoken=spoken) for written, spoken in entries.items()]
    assert from_csv(to_csv(rows).encode()) == entries


# --- Heard -----------------------------------------------------------------------------------------------------------


def test_an_entry_is_heard_in_the_texts_in_which_it_occurs_and_no_other_is_made_anew(
    desk: Desk, worker: object
) -> None:
    plain, other = desk.speak("Acme makes it."), desk.speak("Nobody makes it.")
    entry = desk.put("acme", "a very long name indeed")
    said = desk.speak("Acme makes it.")
    assert said.headers["X-TTS-Cache-Status"] == "miss"
    assert len(said.data) > 1.3 * len(plain.data)
    again = desk.speak("Nobody makes it.")
    assert (again.headers["X-TTS-Cache-Status"], again.data) == ("hit", other.data)
    desk.http.delete(f"{PATH}/{entry}", headers=desk.headers)
    desk.known()
    back = desk.speak("Acme makes it.")
    assert (back.headers["X-TTS-Cache-Status"], back.data) == ("hit", plain.data)


def test_ipa_is_heard(desk: Desk, worker: object) -> None:
    plain = desk.speak("Read it.")
    desk.put("read", "/ɹɛd/")
    said = desk.speak("Read it.")
    assert said.headers["X-TTS-Cache-Status"] == "miss"
    assert said.data != plain.data


def test_a_course_s_entry_is_heard_in_its_texts_alone(desk: Desk, worker: object, course: str) -> None:
    desk.put("Acme", "ack me")
    general = desk.speak("Acme makes it.")
    desk.put("Acme", "a very long name indeed", course)
    own = desk.speak("Acme makes it.", curriculum_id=course)
    assert len(own.data) > 1.3 * len(general.data)
    assert desk.speak("Acme makes it.").headers["X-TTS-Cache-Status"] == "hit"
    looked = {"text": "Acme makes it.", "curriculum_id": course}
    assert desk.http.get("/api/tts/cache", query_string=looked, headers=desk.headers).get_json()["cache_hit"] is True


def test_what_was_prefetched_for_a_course_is_found_by_its_listeners(desk: Desk, worker: object, course: str) -> None:
    desk.put("Acme", "a very long name indeed", course)
    own = desk.speak("Acme makes it.", curriculum_id=course)
    job = desk.http.post("/api/tts/prefetch/topic", json={"curriculum_id": course}, headers=desk.headers).get_json()
    assert (job["total_segments"], job["cached_segments"]) == (1, 1)
    shown = desk.http.get(f"/api/curriculum/{course}/topics/t/captions?format=json", headers=desk.headers).get_json()
    assert shown["duration_seconds"] == pytest.approx(float(own.headers["X-TTS-Duration-Seconds"]), abs=0.001)
    # Shown as it was written.
    assert [cue["text"] for cue in shown["cues"]] == ["Acme makes it."]
