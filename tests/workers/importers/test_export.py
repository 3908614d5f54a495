"""Our own export, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workers.importers import building
from workers.errors import BadInput
from workers.importers import enrich

COURSE: dict[str, Any] = {
    "title": "Café",
    "description": "d",
    "content": [
        {
            "id": "t1",
            "title": "One",
            "level": 3,
            "segments": [{"id": "s1", "text": "First.", "mood": "calm"}, "Second."],
        },
        {"title": "Two", "text": "Alone."},
    ],
}


def read(folder: Path, text: str | bytes, name: str = "course.json") -> Any:
    return building.read(building.spread(folder, {name: text}) / name)


LICENCE = {
    "name": "CC BY-SA 4.0",
    "words": "This course is licensed under CC BY-SA 4.0.",
    "verdict": "allowed",
    "url": "https://creativecommons.org/licenses/by-sa/4.0/",
}


@pytest.mark.parametrize(
    "licence", [LICENCE, LICENCE | {"name": "GNU General Public License", "words": "Under the GPL.", "url": None}]
)
def test_an_export_keeps_its_licence_its_authors_and_whose_it_is(tmp_path: Path, licence: dict[str, Any]) -> None:
    told = COURSE | {"license": licence, "attribution": "By Ann, for all.", "authors": ["Ann", "Bo"]}
    told |= {"content": [{"title": "One", "text": "The club wrote it. © 2001 Somebody Else"}]}
    outline = enrich.enrich(read(tmp_path, json.dumps(told)), accept_license=False, report=lambda done: None)
    assert outline.licence is not None
    assert vars(outline.licence) == licence
    assert (outline.authors, outline.attribution) == (["Ann", "Bo"], "By Ann, for all.")


@pytest.mark.parametrize(
    "told", ["CC BY 4.0", {"name": "CC BY 4.0"}, ["CC BY 4.0", 1], {"url": 7, "words": "CC BY 4.0"}]
)
def test_a_licence_in_another_shape_is_read_and_what_is_none_is_not(tmp_path: Path, told: object) -> None:
    assert read(tmp_path, json.dumps(COURSE | {"license": told})).licence_texts == ["CC BY 4.0"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_export_keeps_its_topics_segments_ids_and_what_else_they_hold(tmp_path: Path, encoding: str) -> None:
    draft = read(tmp_path, json.dumps(COURSE, ensure_ascii=False).encode(encoding))
    assert (draft.title, draft.description) == ("Café", "d")
    assert draft.topics_given == [
        {
            "id": "t1",
            "title": "One",
            "level": 3,
            "segments": [{"id": "s1", "text": "First.", "mood": "calm"}, {"text": "Second."}],
        },
        {"title": "Two", "segments": [{"text": "Alone."}]},
    ]
    assert [(section.title, section.content) for section in draft.sections] == [
        ("One", "First.\n\nSecond."),
        ("Two", "Alone."),
    ]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([3], "content[0]: 3 is not a topic"),
        ([{"segments": []}], "content[0].title: None is not a text"),
        ([{"title": "x" * 501}], "content[0].title"),
        ([{"title": "x", "segments": {}}], "content[0].segments"),
        ([{"title": "x", "segments": ["a", 5]}], "content[0].segments[1]: 5 is not a segment"),
        ([{"title": "x", "segments": [{"text": " "}]}], "content[0].segments[0].text"),
        ([{"title": "x", "segments": ["a\0b"]}], "holds a NUL"),
        ([{"title": "x", "deep": ["\ud800"], "segments": ["a"]}], "half a character"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_place(tmp_path: Path, content: list[Any], named: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, json.dumps({"title": "t", "content": content}))
    assert refused.value.code == "bad_export"
    assert named in refused.value.message
