"""Images of courses over HTTP: each at its path and nowhere else, and never more than an image."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.api.curriculum_assets import IMAGE
from config.settings import Settings
from models import curricula, curriculum_assets
from models.curricula import NewSegment, NewTopic
from models.curriculum_assets import NewAsset
from models.db import Database
from models.files import FileStore
from tests import images
from tests.conftest import eventually
from tests.images import SVG, png
from tests.standing_in import zipped
from workers.importers import pictures

PNG = png(1, size_bytes=1000)
PATH = "course/images/a ship.png"
# What the web would read as something else, and what headers cannot hold.
ODD = "ein Schiff ü/100%?#&+;=a\"b'~船.svg"
ASSETS: list[Any] = [
    {"kind": "image", "target": PATH, "text": "A ship"},
    {"kind": "image", "target": ODD, "text": ""},
    {"kind": "image", "target": "not kept.png", "text": "Too large"},
    {"kind": "link", "target": "https://a.example/", "text": "There", "url": "their own"},
    "what others sent",
]


@pytest.fixture
def store(configured: Settings) -> FileStore:
    """The store of the application."""
    return FileStore(configured.var_dir / "files")


@pytest.fixture
def course(client: FlaskClient, database: Database, store: FileStore) -> str:
    """A course with two images."""
    with database.transaction() as session:
        topics = [
            NewTopic("One", [NewSegment("One.")], extra={"assets": ASSETS}),
            NewTopic("Two", [NewSegment("Two.")]),
        ]
        made = curricula.create(session, title="A course", description="", topics=topics, extra={}, account_id=None)
        kept = [
            NewAsset(PATH, store.put(PNG), "image/png", len(PNG)),
            NewAsset(ODD, store.put(SVG), "image/svg+xml", len(SVG)),
        ]
        curriculum_assets.replace(session, made.id, kept)
        return made.id


def url(course: str, path: str) -> str:
    return f"/api/curriculum/{course}/assets/{quote(path)}"


def test_an_image_is_answered_whole_with_headers_that_keep_it_an_image(
    client: FlaskClient, customer: dict[str, str], course: str, store: FileStore
) -> None:
    for path, content, media_type in ((PATH, PNG, "image/png"), (ODD, SVG, "image/svg+xml")):
        answer = client.get(url(course, path), headers=customer)
        assert (answer.status_code, answer.data) == (200, content)
        assert answer.headers["Content-Type"] == media_type
        assert answer.headers["ETag"] == f'"{store.put(content)}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        assert answer.headers["Content-Security-Policy"] == policy
        assert set(answer.headers["Cache-Control"].split(", ")) == {"private", "no-cache"}
        assert answer.headers["Content-Disposition"].startswith("inline;")


def test_what_is_known_is_not_sent_again_and_parts_are_sent(
    client: FlaskClient, customer: dict[str, str], course: str
) -> None:
    def get(method: str = "GET", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(url(course, PATH), method=method, headers=customer | named)

    etag = get().headers["ETag"]
    unchanged = get(If_None_Match=etag)
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", etag)
    part = get(Range="bytes=10-19")
    assert (part.status_code, part.data) == (206, PNG[10:20])
    assert part.headers["Content-Range"] == "bytes 10-19/1000"
    assert part.headers["X-Content-Type-Options"] == "nosniff"
    beyond = get(Range="bytes=1000-")
    assert (beyond.status_code, beyond.get_json()["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    head = get("HEAD")
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", "1000")
    assert "Content-Type" not in unchanged.headers


HOSTILE = [
    *("", "course", "course/images/", "COURSE/images/a%20ship.png", "a%20ship.png", "not%20kept.png"),
    *("course/./images/a%20ship.png", "course/x/../images/a%20ship.png", "../assets/course/images/a%20ship.png"),
    *("course/%2e/images/a%20ship.png", "%2e%2e/%2e%2e/export", "..", "../..", "..%2f..%2f..%2f..%2fetc/passwd"),
    *("%2fetc%2fpasswd", "..%5c..%5cetc", "course%5cimages%5ca%20ship.png", "course/images/a%2520ship.png"),
    *("course/images/a%20ship.png%00", "%ff%fe", "%0a", "x" * 5000, "course/images/a%20ship.png%0a"),
]


@pytest.mark.parametrize("path", HOSTILE)
def test_no_other_path_leads_to_an_image_or_out_of_the_course(
    client: FlaskClient, customer: dict[str, str], course: str, path: str
) -> None:
    # Two slashes lead to where one does.
    answer = client.get(f"/api/curriculum/{course}/assets/{path}", headers=customer, follow_redirects=True)
    assert answer.status_code == 404
    assert set(answer.get_json()) - {"detail"} == {"error", "code", "details"}
    assert answer.get_json()["code"] == "NOT_FOUND"


def test_a_doubled_slash_leads_to_the_same_image_by_its_own_address(
    client: FlaskClient, customer: dict[str, str], course: str
) -> None:
    doubled = client.get(f"/api/curriculum/{course}/assets//course/images/a%20ship.png", headers=customer)
    assert doubled.status_code == 308
    assert urlsplit(doubled.headers["Location"]).path == url(course, PATH)


def test_the_name_of_a_file_in_the_store_is_no_path(
    client: FlaskClient, customer: dict[str, str], course: str, store: FileStore
) -> None:
    name = store.put(PNG)
    for path in (name, f"{name[:2]}/{name}"):
        assert client.get(url(course, path), headers=customer).status_code == 404


def test_an_image_is_found_in_its_own_course_only(
    client: FlaskClient, customer: dict[str, str], course: str, admin: dict[str, str]
) -> None:
    other = client.post("/api/curriculum", json={"title": "Another"}, headers=admin).get_json()["id"]
    for course_id in (other, "nothing", "%2e%2e", "a%2fb"):
        assert client.get(url(course_id, PATH), headers=customer).status_code == 404
    assert client.get(url(course, PATH)).status_code == 401
    client.delete(f"/api/curriculum/{course}", headers=admin)
    assert client.get(url(course, PATH), headers=customer).status_code == 404


def test_an_image_whose_file_is_gone_is_not_found(
    client: FlaskClient, customer: dict[str, str], course: str, store: FileStore
) -> None:
    store.remove([store.put(PNG)])
    answer = client.get(url(course, PATH), headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (404, "NOT_FOUND")
    assert "again" in answer.get_json()["error"]


def test_the_images_of_a_course_that_was_just_imported_are_there(
    client: FlaskClient, customer: dict[str, str], worker: object
) -> None:
    page = "# Ships\n\nThis text is in the public domain. It is about ships.\n\n![A ship](ship.png)\n"
    sent = {"source": "file", "file": (io.BytesIO(zipped({"a/page.md": page, "a/ship.png": PNG})), "ships.zip")}
    began = client.post("/api/imports", data=sent, headers=customer).get_json()
    address = f"/api/imports/{began['id']}"
    done = eventually(
        lambda: (found := client.get(address, headers=customer).get_json())["status"] == "completed" and found,
        within_seconds=20,
    )
    assert (done["course"]["asset_count"], done["course"]["image_count"]) == (1, 1)
    shown = client.get(f"/api/curriculum/{done['curriculum_id']}", headers=customer).get_json()
    (asset,) = shown["content"][0]["assets"]
    assert asset["url"] == url(shown["id"], asset["target"])
    assert client.get(asset["url"], headers=customer).data == PNG


def test_every_kind_of_image_that_is_kept_is_described() -> None:
    kept = {pictures.media_type(images.encoded(kind)) for kind in images.ENCODED} - {None}
    assert kept | {pictures.media_type(SVG)} == set(IMAGE.media_types)


# --- Where a course is shown --------------------------------------------------------------------------------------


def test_a_course_says_where_its_images_are_and_of_others_nothing(
    client: FlaskClient, customer: dict[str, str], course: str
) -> None:
    shown = client.get(f"/api/curriculum/{course}", headers=customer).get_json()["content"]
    assert shown[0]["assets"] == [
        ASSETS[0] | {"url": url(course, PATH)},
        ASSETS[1] | {"url": url(course, ODD)},
        *ASSETS[2:],
    ]
    assert "assets" not in shown[1]
    for asset, content in zip(shown[0]["assets"][:2], (PNG, SVG), strict=True):
        assert client.get(asset["url"], headers=customer).data == content


def test_a_course_that_is_sent_back_as_it_was_got_stays_the_same(
    client: FlaskClient, customer: dict[str, str], course: str
) -> None:
    address = f"/api/curriculum/{course}"
    first = client.get(address, headers=customer).get_json()
    for _ in range(2):
        sent = {name: first[name] for name in ("title", "description", "content")}
        answered = client.put(address, json=sent, headers=customer).get_json()
        assert answered["content"] == first["content"]
        assert client.get(address, headers=customer).get_json()["content"] == first["content"]
    assert client.get(url(course, PATH), headers=customer).data == PNG


def test_what_leaves_its_course_leaves_the_addresses_of_images_behind(
    client: FlaskClient, customer: dict[str, str], course: str, database: Database
) -> None:
    exported = client.get(f"/api/curriculum/{course}/export", headers=customer).get_json()
    assert exported["content"][0]["assets"] == ASSETS
    shown = client.get(f"/api/curriculum/{course}", headers=customer).get_json()
    copy = {"title": "A copy", "content": shown["content"]}
    copied = client.post("/api/curriculum", json=copy, headers=customer).get_json()
    assert copied["content"][0]["assets"] == ASSETS
    # Sent back to where it came from, it would still be stale once the images are others.
    client.put(f"/api/curriculum/{course}", json={"content": shown["content"]}, headers=customer)
    with database.transaction() as session:
        curriculum_assets.replace(session, course, [])
    assert client.get(f"/api/curriculum/{course}", headers=customer).get_json()["content"][0]["assets"] == ASSETS
