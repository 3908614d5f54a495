"""Our own export, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workers.importers import building
from workers.errors import BadInput

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


@pytest.mark.parametrize("text", ['{"title": "a", "content": [', "[" * 200_000, '{"title": NaN, "content": []}'])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, text)
    assert refused.value.code == "broken_json"


def test_json_of_a_million_values_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, '{"title": "a", "content": [' + "[]," * 600_000 + "[]]}")
    assert refused.value.code == "course_too_large"


def test_other_json_is_refused_with_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no course") as refused:
        read(tmp_path, '{"name": "x"}')
    assert refused.value.code == "unknown_format"


def test_an_export_without_segments_is_empty(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, '{"title": "a", "content": [{"title": "x", "segments": []}]}')
    assert refused.value.code == "empty_course"
