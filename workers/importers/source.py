"""Where courses come from: the table of sources with what each is asked with, and what a source does.

The bodies are named by string, so that whoever shows the table (``app``) loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from workers.importers.draft import Report

if TYPE_CHECKING:
    from workers.clients.http import Http


@dataclass(frozen=True)
class Parameter:
    """What a source is asked with. One of type ``file`` comes as a part of a form."""

    name: str
    type: Literal["string", "url", "file"]
    description: str
    required: bool = True
    example: str | None = None


@dataclass(frozen=True)
class Outside:
    """What a source may use: the web, where MIT's courses are, and the folder of what was sent here."""

    http: Http
    ocw_url: str
    uploads: Path


@dataclass(frozen=True)
class Fetched:
    """What came: a file in the folder that it was fetched into, and what is known of it before it is opened."""

    file: str
    name: str
    media_type: str = ""
    url: str | None = None
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For a file between two stages."""
        return asdict(self)


class Fetch(Protocol):
    """What a source does."""

    def __call__(self, asked: Mapping[str, str], folder: Path, outside: Outside, report: Report) -> Fetched:
        """Brings what was ``asked`` for into ``folder``; what is there already of an earlier try may be used.

        Raises:
            BadInput: there is no such thing, or it may not be had.
            RetryLater: the outside is away.
        """


@dataclass(frozen=True)
class Source:
    """A source; ``body`` is ``module:function``, a ``Fetch``."""

    name: str
    title: str
    description: str
    body: str
    parameters: tuple[Parameter, ...]

    def load(self) -> Fetch:
        """What it does."""
        module, _, function = self.body.partition(":")
        found: Fetch = getattr(importlib.import_module(module), function)
        return found


@dataclass(frozen=True)
class Format:
    """A form in which courses are read, whatever the file is called."""

    name: str
    title: str
    endings: tuple[str, ...]


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="mit_ocw",
            title="MIT OpenCourseWare",
            description="A course as MIT publishes it: its archive, else its pages.",
            body="workers.importers.mit_ocw:fetch",
            parameters=(
                Parameter(
                    name="course_id",
                    type="string",
                    description="A course number, of which the latest year is taken, or the course's own address",
                    example="6.001",
                ),
            ),
        ),
        Source(
            name="url",
            title="A public address",
            description="A file or a page from the web, in any of the formats.",
            body="workers.importers.url:fetch",
            parameters=(
                Parameter(
                    name="url",
                    type="url",
                    description="Where it is: http or https, without credentials",
                    example="https://example.org/course.imscc",
                ),
            ),
        ),
        Source(
            name="file",
            title="A file of yours",
            description="A file in any of the formats, sent as multipart/form-data.",
            body="workers.importers.file:fetch",
            parameters=(Parameter(name="file", type="file", description="The file", example="course.epub"),),
        ),
    )
}

FORMATS: tuple[Format, ...] = (
    Format("cartridge", "IMS Common Cartridge 1.1 to 1.3", (".imscc", ".zip")),
    Format("ocw", "MIT OpenCourseWare archive", (".zip",)),
    Format("epub", "EPUB 2 and 3", (".epub",)),
    Format("folder", "Folder of Markdown, HTML or text, zipped", (".zip",)),
    Format("markdown", "Markdown", (".md", ".markdown")),
    Format("html", "HTML page", (".html", ".htm", ".xhtml")),
    Format("text", "Plain text", (".txt",)),
    Format("export", "What GET /api/curriculum/{id}/export gives", (".json",)),
)
