"""Stored files that are left to the nginx in front of us: only to it, and only what it would answer as we do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, Response

from app import create_app
from app.http.ranges import send_stored
from config.settings import Settings
from models.files import FileStore

PREFIX = "/stored/"
CONTENT = bytes(range(256))
THROUGH = {"X-Accel-Prefix": PREFIX}


@pytest.fixture
def app(configured: Settings, tmp_path: Path) -> Iterator[Flask]:
    """An application whose files nginx may send."""
    app = create_app(dataclasses.replace(configured, var_dir=tmp_path, x_accel_prefix=PREFIX))
    yield app
    app.extensions["voiceworks"].hub.stop()
    app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A stored file."""
    store = FileStore(tmp_path / "files")
    return store.path(store.put(CONTENT))


def test_a_file_on_another_disk_is_at_the_same_place_for_nginx(configured: Settings, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "files").symlink_to(tmp_path / "disk")
    app = create_app(dataclasses.replace(configured, var_dir=tmp_path, x_accel_prefix=PREFIX))
    here = app.extensions["voiceworks"]
    try:
        path = here.files.path(here.files.put(CONTENT))
        assert answer(app, path).headers["X-Accel-Redirect"] == f"/stored/{path.name[:2]}/{path.name}"
    finally:
        here.hub.stop()
        here.database.dispose()


def answer(app: Flask, path: Path, *, method: str = "GET", **headers: str) -> Response:
    """What is answered to a request through nginx, unless its headers say otherwise."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with app.test_request_context("/any", method=method, headers=THROUGH | sent):
        return send_stored(path, name="a.wav", media_type="audio/wav", etag="e")


def assert_sent(response: Response, content: bytes) -> None:
    """Fails unless we send it ourselves."""
    assert "X-Accel-Redirect" not in response.headers
    response.direct_passthrough = False
    assert response.get_data() == content


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-9"}, {"If_None_Match": '"another"'}])
def test_a_file_is_left_to_the_nginx_that_the_request_came_through(
    app: Flask, stored: Path, asked: dict[str, str]
) -> None:
    response = answer(app, stored, **asked)
    assert response.status_code == 200
    assert response.headers["X-Accel-Redirect"] == f"/stored/{stored.name[:2]}/{stored.name}"
    assert response.get_data() == b""
    assert (response.headers["ETag"], response.headers["Content-Type"]) == ('"e"', "audio/wav")
    # The file that it would have been sent from is not left open.
    assert not [each for each in Path("/proc/self/fd").iterdir() if each.exists() and each.samefile(stored)]


@pytest.mark.parametrize("prefix", ["", "/", "/etc/", "/stored", "stored/"])
def test_whoever_comes_past_nginx_gets_the_file_itself(app: Flask, stored: Path, prefix: str) -> None:
    assert_sent(answer(app, stored, X_Accel_Prefix=prefix), CONTENT)


def test_without_the_setting_nginx_is_left_nothing(client: object, configured: Settings, stored: Path) -> None:
    assert configured.x_accel_prefix == ""
    app = client.application  # type: ignore[attr-defined]
    assert_sent(answer(app, stored), CONTENT)
    assert_sent(answer(app, stored, X_Accel_Prefix=""), CONTENT)


@pytest.mark.parametrize(
    ("asked", "content"),
    [
        # What nginx would refuse, or answer in several parts.
        ({"Range": "bytes=a-b"}, CONTENT),
        ({"Range": "bytes=0-1,5-6"}, CONTENT),
        ({"Range": "bytes=-999"}, CONTENT),
        # It does not know our ETag when it looks at these.
        ({"If_Match": '"e"'}, CONTENT),
        ({"If_Range": '"e"', "Range": "bytes=0-9"}, CONTENT[:10]),
        ({"If_Range": '"another"', "Range": "bytes=0-9"}, CONTENT),
        # Kept for a repetition: it must have its sound.
        ({"Idempotency_Key": "once"}, CONTENT),
    ],
    ids=str,
)
def test_what_nginx_would_judge_otherwise_is_sent_by_us(
    app: Flask, stored: Path, asked: dict[str, str], content: bytes
) -> None:
    assert_sent(answer(app, stored, **asked), content)


def test_a_part_of_what_is_made_on_request_is_not_nginxs_to_cut(app: Flask, stored: Path) -> None:
    assert_sent(answer(app, stored, method="POST", Range="bytes=0-9"), CONTENT)
    assert "X-Accel-Redirect" in answer(app, stored, method="POST").headers


def test_not_modified_is_said_by_us(app: Flask, stored: Path) -> None:
    response = answer(app, stored, If_None_Match='"e"')
    assert (response.status_code, "X-Accel-Redirect" in response.headers) == (304, False)


def test_a_file_outside_the_store_is_never_left_to_nginx(app: Flask, tmp_path: Path) -> None:
    outside = tmp_path / "secret.key"
    outside.write_bytes(CONTENT)
    assert_sent(answer(app, outside), CONTENT)
    assert_sent(answer(app, tmp_path / "files" / ".." / "secret.key"), CONTENT)
