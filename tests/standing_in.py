"""Somebody's web server, and MIT's: real ones on a port of this machine, with the paths and files that a test gives."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What is at a path. ``gate`` is called when half of the body is out; ``length`` is what is said of it."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: Callable[[], None] | None = None
    length: int | None = None
    tagged: bool = True


class Site:
    """A server; ``asked`` is what it was asked for, in order, with the status of each answer."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, int]] = []
        self.headers: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(ConnectionError):
                    site._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server((host, port), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def paths(self) -> list[str]:
        """The paths that were asked for."""
        return [path for path, _ in self.asked]

    def close(self) -> None:
        """It is away."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(request.path, Page(b"Not here.", 404, tagged=False))
        tag = f'"{hashlib.sha256(page.body).hexdigest()[:16]}"'
        status = 304 if page.tagged and request.headers.get("If-None-Match") == tag else page.status
        self.asked.append((request.path, status))
        self.headers.append(dict(request.headers))
        request.send_response(status)
        body = b"" if status == 304 else page.body
        told = {"Content-Length": str(len(body) if page.length is None else page.length)}
        told |= {"ETag": tag} if page.tagged and status in (200, 304) else {}
        for name, value in (told | page.headers).items():
            request.send_header(name, value)
        request.end_headers()
        half = len(body) // 2
        request.wfile.write(body[:half])
        request.wfile.flush()
        if page.gate is not None:
            page.gate()
        request.wfile.write(body[half:])


@contextmanager
def standing_in(port: int = 0) -> Iterator[Site]:
    """A server, as long as the block runs."""
    site = Site(port)
    try:
        yield site
    finally:
        site.close()


LICENCE = (
    '<p class="license"><a rel="license" href="https://creativecommons.org/licenses/by-nc-sa/4.0/">'
    "Creative Commons BY-NC-SA 4.0</a></p>"
)
LECTURES = {
    "syllabus": ("Syllabus", "This course teaches how programs are built from simple parts."),
    "lecture-1": ("Lecture 1: Procedures", "A procedure is a pattern for a process. It is applied to its arguments."),
    "lecture-2": ("Lecture 2: Data", "Data is what procedures are applied to. A pair holds two things."),
}
DATA = {
    "course_title": "Structure and Interpretation of Computer Programs",
    "course_description": "An introduction to programs.",
    "site_uid": "a",
    "legacy_uid": "b",
    "instructors": [
        {"first_name": "Ada", "last_name": "Lovelace", "middle_initial": "", "salutation": "", "title": "Ada Lovelace"}
    ],
    "department_numbers": ["6"],
    "topics": [["Engineering", "Computer Science"]],
    "primary_course_number": "6.001",
    "extra_course_numbers": "",
    "term": "Spring",
    "year": "2005",
    "level": ["Undergraduate"],
}
SLUG = "6-001-structure-and-interpretation-of-computer-programs-spring-2005"
OLDER = "6-001-structure-and-interpretation-of-computer-programs-fall-2002"


def page_of(title: str, text: str, menu: str = "") -> str:
    """A page as MIT's are built."""
    head = f"<head><title>{title} | MIT OpenCourseWare</title></head>"
    main = f'<main id="course-content-section"><h1>{title}</h1><p>{text}</p></main>'
    return f"<!DOCTYPE html><html lang='en'>{head}<body><nav id='course-nav'>{menu}</nav>{main}{LICENCE}</body></html>"


def files_of(lectures: dict[str, tuple[str, str]] = LECTURES, root: str = "") -> dict[str, str]:
    """The files of a course, by their paths below it."""
    # The archive's own links name files, those of the site folders.
    end = "/" if root else "/index.html"
    menu = "".join(
        f"<li><a href='{root or '.'}/pages/{name}{end}'>{title}</a></li>" for name, (title, _) in lectures.items()
    )
    menu = f"<ul>{menu}</ul>"
    files = {
        "index.html": page_of(DATA["course_title"], DATA["course_description"], menu),
        "data.json": json.dumps(DATA),
    }
    for name, (title, text) in lectures.items():
        files[f"pages/{name}/index.html"] = page_of(title, text, menu)
        about = {"title": f"{title}", "content": text, "type": "page", "course_title": DATA["course_title"]}
        files[f"pages/{name}/data.json"] = json.dumps(about)
    return files


def zipped(files: dict[str, Any]) -> bytes:
    """Files as an archive."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return held.getvalue()


def ocw_pages(*, archive: bool = True, lectures: dict[str, tuple[str, str]] = LECTURES) -> dict[str, Page]:
    """What MIT OpenCourseWare has of one course, with or without its archive, and the index of all."""
    root = f"/courses/{SLUG}"
    others = "".join(
        f"<sitemap><loc>https://ocw.mit.edu/courses/{slug}/sitemap.xml</loc></sitemap>"
        for slug in (OLDER, SLUG, "6-0001-introduction-fall-2016", "18-06sc-linear-algebra-fall-2011")
    )
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    index = f'<?xml version="1.0"?><sitemapindex {space}>{others}</sitemapindex>'
    own = "".join(f"<url><loc>https://ocw.mit.edu{root}/pages/{name}/</loc></url>" for name in lectures)
    pages = {"/sitemap.xml": index, f"{root}/sitemap.xml": f'<?xml version="1.0"?><urlset {space}>{own}</urlset>'}
    for name, text in files_of(lectures, root).items():
        pages[f"{root}/{name.removesuffix('index.html')}"] = text
    found = {
        path: Page(text.encode(), headers={"Content-Type": "text/html; charset=utf-8"}) for path, text in pages.items()
    }
    if archive:
        link = f"<html><body><a href='{root}/6.001-spring-2005.zip'>Download course</a></body></html>"
        found[f"{root}/download/"] = Page(link.encode(), headers={"Content-Type": "text/html"})
        body = zipped(dict(files_of(lectures)))
        found[f"{root}/6.001-spring-2005.zip"] = Page(body, headers={"Content-Type": "application/zip"})
    return found
