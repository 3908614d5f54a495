"""Courses that were damaged by chance or on purpose: each is a course or refused, soon, and never grows."""

from __future__ import annotations

import json
import tempfile
import time
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.importers import building
from workers.errors import BadInput
from workers.importers import enrich, formats, generate

Content = str | bytes
Change = tuple[int, int, int, str]

BOOKS: list[dict[str, Content]] = [
    building.epub_3(),
    building.epub_2(),
    building.cartridge(),
    building.ocw(),
    building.ocw_legacy(manifest=True),
]
TOKENS = [
    *("<", ">", "&", '"', "'", "</", "/>", "<!--", "-->", "<![CDATA[", "]]>", "<?xml version='1.1'?>"),
    *("<!DOCTYPE a [<!ENTITY b 'c'>]>", "<!ENTITY % d SYSTEM 'file:///etc/passwd'>", "&b;", "&#0;", "&#xFFFE;"),
    *("<script>", "<style>", "<table><tr><td>", "<li>", "<h1>", "<math>", "<svg>", "<p>" * 50, "<div>" * 300),
    *("xmlns='a'", "href='../../x'", "{", "}", "[", "]", "null", "1e999", "\\ud800", "\0", "\ufeff", "\u2028", "é"),
    *("#" * 20, "```", "---\n", "$$"),
]
TEXT = st.one_of(st.sampled_from(TOKENS), st.text(max_size=20))
# Which file (by number), where in it and how many characters go (in thousandths), and what takes their place.
CHANGE = st.tuples(st.integers(0, 40), st.integers(0, 1000), st.integers(0, 60), TEXT)
CHANGES = st.lists(CHANGE, min_size=1, max_size=5)
LONE = [("page.html", "text/html"), ("page.md", None), ("notes.txt", "text/plain"), ("course.json", None), ("x", None)]
# Of this process, for courses of a few pages.
SECONDS = 10.0
MOST = 50


def changed(files: Mapping[str, Content], changes: list[Change]) -> dict[str, Content]:
    """The files with pieces of them replaced."""
    found = {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    for number, place, length, text in changes:
        name = list(found)[number % len(found)]
        content = found[name]
        start = len(content) * place // 1000
        end = start + len(content) * length // 1000
        found[name] = content[:start] + text.encode("utf-8", "surrogatepass") + content[end:]
    return dict(found)


def assert_course_or_refused(content: bytes, name: str, media_type: str | None = None) -> str:
    """What came of it, by a word; fails at any other error, at what takes too long, and at what grows."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent"
        path.write_bytes(content)
        try:
            draft = formats.read(path, name, media_type, lambda done: None)
            outline = enrich.enrich(draft, accept_license=True, report=lambda done: None)
            made = generate.generate(outline, title=None, source={}, report=lambda done: None)
        except BadInput as refusal:
            return refusal.code
        finally:
            assert time.process_time() - began < SECONDS
    # As it is stored.
    kept = json.dumps(made, allow_nan=False)
    assert "\\u0000" not in kept
    assert len(kept) < MOST * (_unpacked(content) + 10_000)
    return "read"


def _unpacked(content: bytes) -> int:
    if not zipfile.is_zipfile(BytesIO(content)):
        return len(content)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def packed(files: Mapping[str, Content]) -> bytes:
    """A zip of them."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("number", range(len(BOOKS)))
def test_what_is_damaged_in_these_tests_is_a_course_while_it_is_whole(number: int) -> None:
    assert assert_course_or_refused(packed(BOOKS[number]), "course.zip") == "read"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BOOKS), CHANGES)
def test_a_course_with_damaged_files_is_read_or_refused(files: dict[str, Content], changes: list[Change]) -> None:
    assert_course_or_refused(packed(changed(files, changes)), "course.zip")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BOOKS[:3]), CHANGES)
def test_a_damaged_archive_is_read_or_refused(files: dict[str, Content], changes: list[Change]) -> None:
    damaged = changed({"archive": packed(files)}, changes)["archive"]
    assert isinstance(damaged, bytes)
    assert_course_or_refused(damaged, "course.epub", "application/epub+zip")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LONE), st.one_of(st.binary(max_size=300), st.lists(TEXT, max_size=40).map("".join)))
def test_a_lone_file_of_anything_is_read_or_refused(kind: tuple[str, str | None], content: Content) -> None:
    sent = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    assert_course_or_refused(sent, *kind)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LONE), st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3).map("".join))
def test_what_repeats_for_a_hundred_thousand_characters_is_read_in_time(
    kind: tuple[str, str | None], unit: str
) -> None:
    text = "<html><body>" * kind[0].endswith("html") + unit * (100_000 // len(unit))
    assert_course_or_refused(text.encode("utf-8", "surrogatepass"), *kind)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BOOKS), CHANGES, st.booleans())
def test_thousands_of_damaged_courses_are_read_or_refused(
    files: dict[str, Content], changes: list[Change], whole: bool
) -> None:
    content = packed(changed(files, changes)) if whole else changed({"archive": packed(files)}, changes)["archive"]
    assert isinstance(content, bytes)
    assert_course_or_refused(content, "course.zip")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LONE), st.lists(TEXT, min_size=1, max_size=4).map("".join).filter(bool))
def test_hundreds_of_repeated_texts_are_read_in_time(kind: tuple[str, str | None], unit: str) -> None:
    text = "<html><body>" * kind[0].endswith("html") + unit * (100_000 // len(unit))
    assert_course_or_refused(text.encode("utf-8", "surrogatepass"), *kind)
