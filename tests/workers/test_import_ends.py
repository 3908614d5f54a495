"""The two ends of an import that are no format's: what came is looked at, and what is known becomes a course."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.standing_in import zipped
from workers.errors import BadInput, Stopped
from workers.importers import checking, generate
from workers.importers.outline import Asset, Licence, Outline, Segment, Topic


def quiet(share: float) -> None:
    """Nobody listens."""


def made(outline: Outline, title: str | None = None) -> dict[str, Any]:
    return generate.generate(outline, title=title, source={"source": "file", "url": None}, report=quiet)


def topic(*texts: str, title: str = "A topic", **fields: Any) -> Topic:
    return Topic(title, [Segment(text) for text in texts], **fields)


# --- Looked at ----------------------------------------------------------------------------------------------------


def test_of_a_file_the_size_and_digest_are_known(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    found = checking.check(path, "a.txt", "text/plain", quiet)
    # The digest of FIPS 180-2's own example.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert found == {"name": "a.txt", "media_type": "text/plain", "size_bytes": 3, "sha256": digest}


def test_an_empty_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"a\.txt") as caught:
        checking.check(tmp_path / "file", "a.txt", "", quiet)
    assert caught.value.code == "empty_file"


def test_a_damaged_file_of_an_archive_is_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("good.md", "# Good")
        archive.writestr("bad.md", "# Damaged on its way")
    (tmp_path / "file").write_bytes(held.getvalue().replace(b"Damaged on", b"Damaged_on"))
    found = checking.check(tmp_path / "file", "a.zip", "", quiet)
    assert (found["files"], found["damaged"]) == (2, ["bad.md"])
    assert checking.notes(found) == ["Damaged in the archive: bad.md."]


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(zipped({"a.md": "# A"})[:-30])
    with pytest.raises(BadInput) as caught:
        checking.check(tmp_path / "file", "a.zip", "", quiet)
    assert caught.value.code == "damaged_archive"


def test_whoever_does_not_want_it_any_more_stops_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(zipped({"a.bin": b"\0" * 2_000_000}))

    def stop(share: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        checking.check(tmp_path / "file", "a.zip", "", stop)


def test_the_files_of_a_course_are_opened_again_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "zip").write_bytes(zipped({"a/b.md": "# A"}))
    (tmp_path / "text").write_bytes(b"# B")
    again = checking.reopened(tmp_path / "zip", "course.zip")
    assert (again.names(), again.read("a/b.md", most=100)) == (["a/b.md"], b"# A")
    alone = checking.reopened(tmp_path / "text", "b.md")
    assert (alone.names(), alone.size("b.md")) == (["b.md"], 3)


# --- Becomes a course ---------------------------------------------------------------------------------------------


def test_an_outline_becomes_a_course_with_all_that_is_known_of_it() -> None:
    licence = Licence(
        "CC BY 4.0", "Licensed under CC BY 4.0", "allowed", "https://creativecommons.org/licenses/by/4.0/"
    )
    one = Topic(
        "One",
        [Segment("First.", id="s1"), Segment("a: 1", kind="table", extra={"n": 1})],
        description="The first",
        language="en",
        objectives=["to know"],
        reading_seconds=2.26,
        assets=[Asset("image", "a.png", "A picture")],
        id="t1",
        extra={"level": 2},
    )
    outline = Outline("A course", [one], "About it", "en", ["Ada"], licence, "By Ada.", ["Noted.", "Noted."])
    found = made(outline)
    assert found["course"] == {
        "title": "A course",
        "description": "About it",
        "extra": {
            "language": "en",
            "attribution": "By Ada.",
            "authors": ["Ada"],
            "license": vars(licence),
            "imported_from": {"source": "file"},
        },
        "topics": [
            {
                "id": "t1",
                "title": "One",
                "description": "The first",
                "segments": [
                    {"id": "s1", "text": "First.", "extra": {}},
                    {"id": None, "text": "a: 1", "extra": {"kind": "table", "n": 1}},
                ],
                "extra": {
                    "language": "en",
                    "objectives": ["to know"],
                    "reading_seconds": 2.3,
                    "assets": [{"kind": "image", "target": "a.png", "text": "A picture"}],
                    "level": 2,
                },
            }
        ],
    }
    figures = {"topic_count": 1, "segment_count": 2, "asset_count": 1, "reading_seconds": 2.3}
    told = {"title": "A course", "language": "en", "attribution": "By Ada.", "authors": ["Ada"], "notes": ["Noted."]}
    assert found["result"] == figures | told | {"licence": vars(licence)}
    assert found["outline"][0]["begins"] == "First."


def test_what_cannot_be_stored_is_left_out() -> None:
    outline = Outline("A\0 course", [topic("One\0.", "\0", "Half a pair: \ud800.", extra={"k\0": ["\udfff"]}), topic()])
    found = made(outline)
    json.dumps(found, ensure_ascii=False).encode()
    assert "\0" not in str(found)
    assert found["course"]["title"] == "A course"
    assert [part["text"] for part in found["course"]["topics"][0]["segments"]] == ["One.", "Half a pair: ."]
    assert len(found["course"]["topics"]) == 1


def test_titles_are_cut_at_a_word_and_made_where_there_are_none() -> None:
    found = made(Outline("word " * 200, [topic("It begins with this.", title=" ")]))["course"]
    assert len(found["title"]) <= 500
    assert found["title"].endswith("word…")
    assert found["topics"][0]["title"] == "It begins with this."
    assert made(Outline("", [topic("One.")]))["course"]["title"] == "Untitled course"
    assert made(Outline("Theirs", [topic("One.")]), "Mine")["course"]["title"] == "Mine"


@pytest.mark.parametrize(
    ("outline", "code"),
    [
        (Outline("A", []), "empty_course"),
        (Outline("A", [topic(" ", "\n")]), "empty_course"),
        (Outline("A", [topic("x" * 20_001)]), "segment_too_long"),
        (Outline("A", [topic("One.", id="x" * 201)]), "bad_id"),
        (Outline("A", [topic(*["One."] * 50_001)]), "course_too_large"),
        (Outline("A", [topic("One.")] * 5_001), "course_too_large"),
    ],
    ids=["no topics", "nothing said", "a long segment", "a long id", "many segments", "many topics"],
)
def test_what_is_no_course_is_refused(outline: Outline, code: str) -> None:
    with pytest.raises(BadInput) as caught:
        made(outline)
    assert caught.value.code == code


def test_of_a_thousand_notes_the_first_hundred_are_told() -> None:
    notes = made(Outline("A", [topic("One.")], notes=[f"Note {number}." for number in range(1000)]))["result"]["notes"]
    assert (len(notes), notes[0], notes[-1]) == (101, "Note 0.", "and 900 more")
