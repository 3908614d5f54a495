"""A course of MIT OpenCourseWare: its archive, or its pages where it has none; laid out as the archive is."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from workers.clients.http import Got
from workers.errors import BadInput, RetryLater
from workers.importers.draft import Report
from workers.importers.source import Fetched, Outside

# One page, the index of all courses (now 2,500 lines), the data of a course.
_MOST_PAGE_BYTES, _MOST_INDEX_BYTES, _MOST_DATA_BYTES = 5_000_000, 20_000_000, 2_000_000
# The largest courses have about a hundred.
MAX_PAGES = 400
_NUMBER = re.compile(r"[0-9a-z]{1,8}([.-][0-9a-z]{1,12}){1,2}")
_SLUG = re.compile(r"[0-9a-z]+(-[0-9a-z]+){2,60}")
_TERMS = ("january-iap", "spring", "summer", "fall")
_YEAR = re.compile(rf"(?:({'|'.join(_TERMS)})-)?(\d{{4}})$")
# What the index of all courses takes of the time, and of the bar.
_FOUND, _SEEN = 0.05, 0.1


def fetch(asked: Mapping[str, str], folder: Path, outside: Outside, report: Report) -> Fetched:
    """The course ``asked["course_id"]``: a number (``6.001``), a course's own name in addresses, or its address."""
    site = _Site(folder, outside, report)
    wanted = asked["course_id"]
    slug, others = site.find(wanted)
    notes = [f"{wanted} is also taught as {', '.join(others)}."] if others else []
    site.report(_FOUND)
    root = f"{site.base}/courses/{slug}/"
    try:
        site.get(root, "index.html", _MOST_PAGE_BYTES)
    except BadInput as fault:
        if fault.code != "not_found_there":
            raise
        raise _unknown(wanted) from None
    site.report(_SEEN)
    archive = site.archive(root)
    if archive is not None:
        return Fetched(archive.path.name, archive.name, archive.media_type, root, notes)
    notes.append("MIT offers no archive of this course, so that its pages were fetched one by one.")
    return Fetched(site.pages(root), f"{slug}.zip", "application/zip", root, notes)


class _Site:
    def __init__(self, folder: Path, outside: Outside, report: Report) -> None:
        self.base = outside.ocw_url.rstrip("/")
        self._folder = folder
        self._http = outside.http
        self._tell = report
        self._share = 0.0

    def report(self, share: float) -> None:
        """Says how far all of it is: never less than before, whatever a single file says."""
        self._share = max(self._share, share)
        self._tell(self._share)

    def get(self, url: str, name: str, most: int | None = None, report: Report | None = None) -> Got:
        """The file at ``url`` as ``name`` in the folder."""
        return self._http.get(url, self._folder / name, report or (lambda share: self.report(0.0)), most_bytes=most)

    def find(self, wanted: str) -> tuple[str, list[str]]:
        """The name of a course in addresses, and those of the same number in other years.

        Raises:
            BadInput: there is none.
        """
        name = wanted.strip().lower()
        if "/" in name:
            parts = [part for part in urlsplit(name).path.split("/") if part]
            name = parts[parts.index("courses") + 1] if "courses" in parts[:-1] else (parts or [""])[-1]
        if _SLUG.fullmatch(name):
            return name, []
        if not _NUMBER.fullmatch(name):
            raise _unknown(wanted)
        number = name.replace(".", "-")
        there = [each for each in self._courses() if each == number or each.startswith(f"{number}-")]
        if not there:
            raise _unknown(wanted)
        there.sort(key=_when)
        return there[-1], there[:-1]

    def _courses(self) -> Iterator[str]:
        got = self.get(f"{self.base}/sitemap.xml", "sitemap.xml", _MOST_INDEX_BYTES)
        for address in _locations(got.path):
            found = re.search(r"/courses/([0-9a-z-]+)/", address)
            if found:
                yield found[1]

    def archive(self, root: str) -> Got | None:
        """The course's archive; None where MIT offers none."""
        try:
            page = self.get(urljoin(root, "download/"), "download.html", _MOST_PAGE_BYTES)
            links = _links(page.path, page.url)
            at = next((link for link in links if urlsplit(link).path.lower().endswith(".zip")), None)
            if at is None:
                return None
            return self.get(at, "source", report=lambda share: self.report(_SEEN + (1 - _SEEN) * share))
        except BadInput as fault:
            if fault.code != "not_found_there":
                raise
            return None

    def pages(self, root: str) -> str:
        """The name of an archive like MIT's own, of the course's pages: in the order of its menu, then the others.

        Raises:
            BadInput: the course has none.
        """
        home = self._folder / "index.html"
        path = urlsplit(root).path
        found = dict.fromkeys(self._below(_links(home, root), path) + self._below(self._own_index(root), path))
        names = list(found)[:MAX_PAGES]
        if not names:
            raise BadInput(f"{root} has neither an archive nor pages.", code="empty_course")
        with zipfile.ZipFile(self._folder / "pages.draft", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("index.html", _relative(home.read_bytes(), path, "./"))
            self._add(archive, urljoin(root, "data.json"), "data.json", _MOST_DATA_BYTES)
            for number, name in enumerate(names):
                self.report(_SEEN + (1 - _SEEN) * number / len(names))
                self._add(archive, urljoin(root, f"pages/{name}/"), f"pages/{name}/index.html", _MOST_PAGE_BYTES)
        (self._folder / "pages.draft").replace(self._folder / "source")
        return "source"

    def _add(self, archive: zipfile.ZipFile, url: str, name: str, most: int) -> None:
        try:
            got = self.get(url, "page", most)
        except BadInput as fault:
            # A link that leads nowhere is MIT's affair.
            if fault.code != "not_found_there":
                raise
            return
        below = name.count("/")
        path = url.partition("pages/")[0] if below else url.removesuffix(name)
        archive.writestr(name, _relative(got.path.read_bytes(), urlsplit(path).path, "../" * below))

    def _own_index(self, root: str) -> list[str]:
        try:
            return list(_locations(self.get(urljoin(root, "sitemap.xml"), "course.xml", _MOST_INDEX_BYTES).path))
        except BadInput as fault:
            if fault.code != "not_found_there":
                raise
            return []

    def _below(self, links: list[str], path: str) -> list[str]:
        """The names of those pages among the links that are this course's own."""
        below = f"{path}pages/"
        names = [urlsplit(link).path.removeprefix(below).strip("/") for link in links if below in urlsplit(link).path]
        return [name for name in names if re.fullmatch(r"[\w-]+(/[\w-]+){0,3}", name)]


def _relative(page: bytes, path: str, up: str) -> bytes:
    """A page whose links to others of its course lead to the files of an archive."""
    links = rb"([\"'])[^\"']{0,200}?%s(pages/[\w/-]{1,200}?)/?([\"'])" % re.escape(path.encode())
    return re.sub(links, rb"\1%s\2/index.html\3" % up.encode(), page)


def _locations(path: Path) -> Iterator[str]:
    """Every address of a sitemap.

    Raises:
        RetryLater: it is none, as a page that says that the site is being mended is none.
    """
    try:
        for _, element in iterparse(path):
            if element.tag.rpartition("}")[2] == "loc" and element.text:
                yield element.text.strip()
            element.clear()
    except (ParseError, DefusedXmlException):
        raise RetryLater("The index of courses could not be read.", code="source_unavailable") from None


def _links(page: Path, url: str) -> list[str]:
    soup = BeautifulSoup(page.read_bytes(), "lxml")
    found = []
    for link in soup.find_all("a", href=True):
        try:
            found.append(urljoin(url, str(link["href"])))
        except ValueError:
            # Somebody's slip of the pen.
            continue
    return found


def _when(slug: str) -> tuple[int, int]:
    found = _YEAR.search(slug)
    return (int(found[2]), _TERMS.index(found[1]) if found[1] else -1) if found else (0, 0)


def _unknown(wanted: str) -> BadInput:
    return BadInput(f"MIT OpenCourseWare has no course {wanted[:100]!r}.", code="unknown_course")
