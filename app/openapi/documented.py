"""The requests and answers that the contract documents show, found again for the API's description.

The documents are read instead of copied, so that there is one truth: their examples are what the contract tests send.
Where they were not installed there are no examples, and everything else of the description stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "contracts"
NAMES = ("management", "gateway", "administration", "wakewords", "transcription")

# "GET /path", "#### GET `/path`", "**GET** `/path`".
_REQUEST = re.compile(r"(?:#+ )?(?:\*\*)?(GET|POST|PUT|PATCH|DELETE)(?:\*\*)? `?(/[^\s`?]*)")


@dataclass
class Shown:
    """What one document shows of one request.

    Attributes:
        path: As the document writes it, with ``{parts}``.
        bodies: JSON that is sent.
        answers: JSON that comes back when all is well.
    """

    document: str
    method: str
    path: str
    bodies: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)


def requests(folder: Path = FOLDER) -> list[Shown]:
    """Every request of every document, in order."""
    found: list[Shown] = []
    for name in NAMES:
        path = folder / f"{name}.md"
        if path.exists():
            found += _read(name, path.read_text())
    return found


def _read(document: str, text: str) -> Iterator[Shown]:
    current: Shown | None = None
    label = ""
    for is_code, piece in _pieces(text):
        head, _, body = piece.partition("\n\n")
        if request := _REQUEST.match(head):
            current = Shown(document, request[1], request[2])
            yield current
            # Under the request line stand headers, then an empty line, then the body.
            _add(current.bodies, body)
        elif is_code and current is not None:
            asked = "request" in label.lower()
            if asked or "error" not in label.lower():
                _add(current.bodies if asked else current.answers, piece)
        elif piece.startswith("#"):
            current = None
        label = piece if not is_code else label


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """Code blocks whole, and the lines between them that say something."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            yield True, "\n".join(iter(lambda: next(lines), "```"))
        elif line.strip():
            yield False, line


def _add(examples: list[Any], text: str) -> None:
    text = re.sub(r"\[\s*\.\.\.\s*\]", "[]", text)
    try:
        example = json.loads(re.sub(r"\{\s*\.\.\.\s*\}", "{}", text))
    except ValueError:
        # A command, a table, audio.
        return
    examples.append(_chosen(example))


def _chosen(value: Any) -> Any:
    """Of what is written as ``one|other`` the first."""
    if isinstance(value, dict):
        return {name: _chosen(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_chosen(inner) for inner in value]
    return value.partition("|")[0] if isinstance(value, str) and re.fullmatch(r"\w+(\|\w+)+", value) else value
