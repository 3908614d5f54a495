"""What administrators choose for the whole site."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backups import Headers


def test_the_name_of_the_site_is_ours_until_one_is_chosen(client: FlaskClient, admin: Headers) -> None:
    assert client.get("/api/site-config", headers=admin).get_json() == {"site_name": "Voiceworks"}
    changed = client.put("/api/site-config", json={"site_name": "Home"}, headers=admin)
    assert (changed.status_code, changed.get_json()) == (200, {"site_name": "Home"})
    # What is not named stays.
    assert client.put("/api/site-config", json={}, headers=admin).get_json() == {"site_name": "Home"}
    assert client.get("/api/site-config", headers=admin).get_json() == {"site_name": "Home"}


@pytest.mark.parametrize("body", [{"site_name": " "}, {"site_name": "x" * 101}, {"site_name": 7}, {"colour": "red"}])
def test_what_cannot_be_chosen_is_refused(client: FlaskClient, admin: Headers, body: dict[str, Any]) -> None:
    answer = client.put("/api/site-config", json=body, headers=admin)
    assert answer.status_code == 422
    assert next(iter(body)) in answer.get_json()["detail"]


def test_settings_are_for_administrators(client: FlaskClient, customer: Headers) -> None:
    assert client.get("/api/site-config", headers=customer).status_code == 403
    assert client.put("/api/site-config", json={"site_name": "Mine"}, headers=customer).status_code == 403


def test_the_page_is_called_as_the_site_is(client: FlaskClient, admin: Headers) -> None:
    assert b"<title>Voiceworks</title>" in client.get("/").data
    client.put("/api/site-config", json={"site_name": "Tom & <Jerry>"}, headers=admin)
    page = client.get("/")
    assert b"<title>Tom &amp; &lt;Jerry&gt;</title>" in page.data
    assert page.mimetype == "text/html"
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    again = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304
    client.put("/api/site-config", json={"site_name": "Home"}, headers=admin)
    assert client.get("/", headers={"If-None-Match": page.headers["ETag"]}).status_code == 200
