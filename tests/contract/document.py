"""A contract document as data: its headings, and under each the requests, answers, lists and tables it shows.

The documents are read at test time, so that a line added to one of them fails until it has a test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"

_REQUEST_LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|WS) (/\S*)\Z")
_HEADING = re.compile(r"(#+) (.*)")
_BULLET = re.compile(r"- (.*)")
# What a document writes where a value is the reader's own.
_ELIDED = ("...", {"...": "..."}, ["..."])


@dataclass(frozen=True)
class Request:
    """A request as a document shows it; a websocket has the method ``WS``."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    shown_body: str = ""

    @property
    def path(self) -> str:
        """The target without its query string."""
        return self.target.partition("?")[0]

    def to(self, **ids: str) -> str:
        """The target, its ``{id}`` filled in."""
        return self.target.format(**ids)

    @property
    def fields(self) -> dict[str, Any]:
        """The example's body; what it leaves out with dots is one of ``_ELIDED``."""
        return parse(self.shown_body)

    def body(self, **own: Any) -> dict[str, Any]:
        """The example's body with the reader's ``own`` values; exactly the documented fields, none left out."""
        filled = self.fields
        assert set(own) <= set(filled), f"{self.target} documents no {set(own) - set(filled)}"
        filled |= own
        left = [name for name, value in filled.items() if value in _ELIDED]
        assert not left, f"{self.target}: {left} is written with dots; the test must give a value"
        return filled


@dataclass
class Heading:
    """What stands under one heading, down to the next one of any level."""

    title: str
    requests: list[Request] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)

    @property
    def request(self) -> Request:
        """The one request shown here."""
        (only,) = self.requests
        return only

    @property
    def answer(self) -> Any:
        """The one answer shown here."""
        (only,) = self.answers
        return only

    @property
    def says_something(self) -> bool:
        """Whether there is anything between this heading and the next."""
        return any((self.requests, self.answers, self.bullets, self.rows, self.code, self.prose))


class Document:
    """A document by the name of its file.

    Attributes:
        headings: Every heading by its title, in order.
        text: The whole document.
    """

    def __init__(self, name: str) -> None:
        self.headings: dict[str, Heading] = {}
        self.text = (FOLDER / f"{name}.md").read_text()
        current = Heading("")
        for kind, text in _pieces(self.text):
            if kind == "heading":
                # Of two headings with the same words the first keeps them.
                title = text if text not in self.headings else f"{text} ({len(self.headings)})"
                current = self.headings[title] = Heading(title)
            elif kind == "bullet":
                current.bullets.append(text)
            elif kind == "table":
                current.rows += _rows(text)
            elif kind == "prose":
                current.prose.append(text)
            else:
                _add_code(current, text)

    def __getitem__(self, title: str) -> Heading:
        return self.headings[title]

    def sentence(self, beginning: str) -> str:
        """The one bullet of the whole document that begins so."""
        bullets = [bullet for heading in self.headings.values() for bullet in heading.bullets]
        (only,) = [bullet for bullet in bullets if bullet.startswith(beginning)]
        return only


def parse(shown: str) -> Any:
    """JSON as documents write it: ``[...]`` and ``{ ... }`` stand for what is left out."""
    shown = re.sub(r"\[\s*\.\.\.\s*\]", '["..."]', shown)
    return json.loads(re.sub(r"\{\s*\.\.\.\s*\}", '{"...": "..."}', shown))


def quoted(sentence: str) -> list[str]:
    """What a sentence writes `as code`."""
    return re.findall(r"`([^`]+)`", sentence)


def kind_of(example: Any) -> type | tuple[type, ...]:
    """The Python types in which a documented JSON value may arrive.

    A client may have made an integer of every number written without a point; one written with it may be whole.
    """
    if isinstance(example, float):
        return (int, float)
    return type(example)


def assert_shaped(answer: Any, example: Any, where: str = "") -> None:
    """Fails unless ``answer`` has every field of ``example``, each with its JSON type."""
    kind = kind_of(example)
    fits = isinstance(answer, kind) and isinstance(answer, bool) == isinstance(example, bool)
    assert fits, f"{where or 'the answer'} is {answer!r}; the document shows {example!r}"
    if isinstance(example, dict):
        for name, inner in example.items():
            assert name in answer, f"{where}.{name} is documented and missing in {answer}"
            assert_shaped(answer[name], inner, f"{where}.{name}")
    elif isinstance(example, list) and example:
        for number, inner in enumerate(answer):
            assert_shaped(inner, example[0], f"{where}[{number}]")


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(text.splitlines())
    table: list[str] = []
    for line in lines:
        if table and not line.startswith("|"):
            yield "table", "\n".join(table)
            table = []
        if line.startswith("```"):
            yield "code", "\n".join(iter(lambda: next(lines), "```"))
        elif line.startswith("|"):
            table.append(line)
        elif found := _HEADING.match(line):
            yield "heading", found[2]
        elif found := _BULLET.match(line):
            yield "bullet", found[1]
        elif line.strip() and line.strip() != "---":
            yield "prose", line
    if table:
        yield "table", "\n".join(table)


def _add_code(heading: Heading, text: str) -> None:
    first, _, rest = text.partition("\n")
    if found := _REQUEST_LINE.match(first):
        head, _, body = rest.partition("\n\n") if rest else ("", "", "")
        headers = dict(line.split(": ", 1) for line in head.splitlines())
        heading.requests.append(Request(found[1], found[2], headers, body))
    elif text.lstrip().startswith(("{", "[")):
        heading.answers.append(parse(text))
    else:
        heading.code.append(text)


def _rows(table: str) -> list[dict[str, str]]:
    lines = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    titles, _, *rows = lines
    return [dict(zip(titles, row, strict=True)) for row in rows]
