"""What a format gives: the pages of a course in reading order, as they were written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

# Says how far a stage is (0..1); raises ``workers.errors.Stopped`` when nobody wants it any more.
Report = Callable[[float], None]

Media = Literal["html", "markdown", "text"]


class Files(Protocol):
    """The files that came with a course, by their paths in it (``/`` between folders)."""

    def names(self) -> list[str]:
        """Every path."""

    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            KeyError: there is none.
        """

    def read(self, name: str, *, most: int) -> bytes:
        """A file, whole.

        Raises:
            KeyError: there is none.
            BadInput: it is larger than ``most`` bytes, or cannot be read.
        """


@dataclass(frozen=True)
class Section:
    """A page, or a heading that holds pages together (``content`` empty).

    ``level`` is 1 for the parts of the course, 2 for what is in them, and so on. ``path`` is where the page lies in
    the files, so that its links and images lead somewhere.
    """

    title: str
    level: int
    content: str = ""
    media: Media = "html"
    path: str = ""


@dataclass
class Draft:
    """A course as its format tells it. ``notes`` are for whoever imports it: what was repaired, passed over, unclear.

    ``licence_texts`` holds what the format itself says of rights (metadata, licence files), before any page is read;
    ``attribution`` whose work it is, where the format has the words for that.
    ``topics_given`` says that the sections are the topics and their contents the segments (our own export): nothing is
    to be cut or joined.
    """

    title: str
    sections: list[Section]
    description: str = ""
    language: str | None = None
    authors: list[str] = field(default_factory=list)
    licence_texts: list[str] = field(default_factory=list)
    attribution: str = ""
    files: Files | None = None
    notes: list[str] = field(default_factory=list)
    topics_given: list[dict[str, object]] | None = None
