"""What of Markdown is for the eye only, and what only looks like it."""

from __future__ import annotations

import pytest

from workers.importers import front_matter
from workers.importers.markdown_marks import without_marks


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("- [x] done\n2. [ ] open", "- done\n2. open"),
        ("> [!WARNING]\n> Hot.", ">\n> Hot."),
        ("Well :thumbsup: done :+1:", "Well done "),
        ("## Ropes {#ropes .big}\nText", "## Ropes\nText"),
        ("~~old~~ new", "new"),
        ("[![ci](https://ci.example/badge.svg)](https://ci.example)\n\nText", "\n\nText"),
    ],
)
def test_what_is_for_the_eye_is_taken_off(text: str, left: str) -> None:
    assert without_marks(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "At 10:30:45 it rang; std::map::find; a :1: b",
        "[x] alone, and [a link](x.md)",
        "About ~~ and ~5 metres ~ more",
        "A set {a, b} of {#}",
        "[![A map of the town](map.png)](large.png)",
        "```\n- [ ] code :tada:\n~~~\n~~x~~\n```\n",
        "~~~~\n:tada: ~~x~~\n",
        "{:math:`x`}",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert without_marks(text) == text


def test_what_stands_after_code_is_read_again() -> None:
    assert without_marks("```\n:a_b:\n```\n:a_b: c") == "```\n:a_b:\n```\nc"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('+++\ntitle = "T"\nweight = 3\ndraft = true\nauthors = ["A", "B"]\n[deep]\nx = 1\n+++\nText',
         {"title": ["T"], "weight": ["3"], "draft": ["true"], "authors": ["A", "B"], "deep": []}),
        ("+++\nno toml at all\n+++\nText", {}),
        ("---\ntitle: T\nauthors:\n  - name: A\n  - B\n---\nText", {"title": ["T"], "authors": ["A", "B"]}),
    ],
)  # fmt: skip
def test_front_matter_is_no_text(text: str, said: dict[str, list[str]]) -> None:
    assert front_matter.parted(text) == (said, "Text")
