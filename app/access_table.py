"""``python -m app.access_table`` writes who may use what into ``docs/security.md``, from what each route declares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from app.http.access import Access, Whose
from app.sockets import feeds
from models.accounts import ROLES

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
BEGIN = "<!-- written by `python -m app.access_table` -->"
END = "<!-- as far as here -->"

SOCKET = "SOCKET"
YES, OWN = "yes", "own"
# A close code of a socket says what a status would: 4401 is a 401.
_CLOSING = 4000
_FEWER_RIGHTS_FIRST = (None, "client", "agent", "operator", "admin")
_TITLES = {
    "shared": "Shared by all surfaces",
    "management": "Management",
    "openai": "OpenAI's speech API",
    "gateway": "Gateway",
    "administration": "Administration",
    "wakewords": "Wake words",
    "transcription": "Transcription",
}


@dataclass(frozen=True)
class Line:
    """One method of one route, or a socket, as it is declared."""

    method: str
    rule: str
    endpoint: str
    surface: str
    access: Access
    whose: Whose | None

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return f"{self.method} {self.rule}"

    @property
    def parameters(self) -> bool:
        """Whether it leads to one thing of many."""
        return "<" in self.rule

    def cell(self, role: str | None) -> str:
        """What becomes of a request of somebody of this role (None: without a credential)."""
        if self.access is None:
            return YES
        if role is None or role not in self.access:
            return self._status(401 if role is None else 403)
        if self.whose is None or role in self.whose.everybodys:
            return YES
        return OWN if self.whose.refused is None else f"{OWN}, else {self._status(self.whose.refused)}"

    def _status(self, status: int) -> str:
        return str(_CLOSING + status if self.method == SOCKET else status)


def lines(app: Flask) -> Iterator[Line]:
    """Every method of every route, and every socket; one that declares nothing is nobody's to use."""
    for rule in app.url_map.iter_rules():
        if rule.websocket:
            allowed, surface = feeds.declared.get(rule.rule, frozenset()), feeds.surfaces.get(rule.rule, "management")
            yield Line(SOCKET, rule.rule, rule.endpoint, surface, allowed, feeds.owned.get(rule.rule))
            continue
        view = vars(app.view_functions[rule.endpoint])
        surface = view["surface"].name if "surface" in view else "shared"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            allowed = view.get("access", frozenset())
            yield Line(method, rule.rule, rule.endpoint, surface, allowed, view.get("whose"))


def tables(app: Flask) -> str:
    """The tables, a surface each."""
    found = sorted(lines(app), key=lambda line: (line.rule, line.method))
    parts = []
    for surface, title in _TITLES.items():
        heads = ["route", *(role or "nobody" for role in _FEWER_RIGHTS_FIRST), "own is"]
        rows = [heads, ["---"] * len(heads)]
        for line in found:
            if line.surface == surface:
                shown = line.name.replace("|", "\\|")
                rows.append([f"`{shown}`", *map(line.cell, _FEWER_RIGHTS_FIRST), _own(line)])
        parts.append(f"### {title}\n\n" + "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows))
    return "\n\n".join(parts)


def _own(line: Line) -> str:
    others = sorted((line.access or frozenset()) - set(ROLES))
    # A credential that is no account's, and opens nothing else.
    return ", ".join([*(f"also `{each.upper()}_TOKEN`" for each in others), *([line.whose.own] if line.whose else [])])


def page(app: Flask, before: str) -> str:
    """The page ``before`` with its tables as they should be."""
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables(app)}\n\n{END}{tail}"


def main() -> None:
    """Writes the page."""
    from app import create_app

    with tempfile.TemporaryDirectory() as folder:
        # Nothing of an installation is read or made; the application connects to nothing until it is asked something.
        os.environ["VAR_DIR"] = folder
        app = create_app()
        PAGE.write_text(page(app, PAGE.read_text()))


if __name__ == "__main__":
    main()
