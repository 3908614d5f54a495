"""What means something to a database, a template, a page, a terminal or a header is, here, a text like any other."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.web import Web

Headers = dict[str, str]

TEXTS = [
    "'; drop table curricula; --",
    "' or '1'='1",
    "x /* */ -- # ;",
    "%(id)s :id $1 ? %s",
    "{{ 7 * 7 }} ${7*7} #{7*7} {% raw %} <%= 7*7 %>",
    "{0.__class__} {self} %n %x",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</script><!-- ]]>",
    "${jndi:ldap://127.0.0.1/a} ${env:SECRET_KEY}",
    "$(id) `id` | id & id",
    "a\r\nSet-Cookie: session=1\r\n\r\nHTTP/1.1 200 OK",
    "\x1b[2J\x1b]0;title\x07",
    "\u202etxt.exe\u2066",
    "../../etc/passwd",
]
PATTERNS = ["%", "_", "%%", "\\", "*", ".*", "a%b"]


def test_a_text_comes_back_as_it_was_sent_and_is_found_by_itself(client: FlaskClient, customer: Headers) -> None:
    other = {"title": "Another", "content": [{"title": "Topic", "segments": ["Nothing of the kind."]}]}
    assert client.post("/api/curriculum", json=other, headers=customer).status_code == 201
    for text in TEXTS:
        content = [{"title": text, "notes": {text: text}, "segments": [text]}]
        body = {"title": text, "description": text, "content": content}
        made = client.post("/api/curriculum", json=body, headers=customer)
        assert made.status_code == 201, made.text
        got = client.get(f"/api/curriculum/{made.get_json()['id']}", headers=customer)
        assert got.content_type == "application/json"
        (topic,) = got.get_json()["content"]
        assert (got.get_json()["title"], got.get_json()["description"]) == (text, text)
        assert (topic["title"], topic["notes"], topic["segments"][0]["text"]) == (text, {text: text}, text)
        found = client.get("/api/curriculum/search", query_string={"q": text}, headers=customer).get_json()
        assert "Another" not in [each["title"] for each in found["curricula"]]
    assert client.get("/api/curriculum", headers=customer).get_json()["total"] == len(TEXTS) + 1


def test_a_pattern_finds_only_itself(client: FlaskClient, customer: Headers) -> None:
    course = {"title": "Plain", "content": [{"title": "Topic", "segments": ["Words."]}]}
    assert client.post("/api/curriculum", json=course, headers=customer).status_code == 201
    for pattern in PATTERNS:
        found = client.get("/api/curriculum/search", query_string={"q": pattern}, headers=customer)
        assert found.status_code == 200, found.text
        assert found.get_json()["total"] == 0, pattern


def test_whoever_signs_in_by_such_a_name_is_nobody(client: FlaskClient) -> None:
    for text in TEXTS:
        answer = client.post("/api/auth/login", json={"username": text, "password": text})
        assert (answer.status_code, answer.content_type) == (401, "application/json")


def test_such_a_name_of_a_group_is_a_name(client: FlaskClient, admin: Headers) -> None:
    for text in TEXTS:
        body = {"name": text, "description": text}
        made = client.post("/api/groups", json=body, headers=admin)
        assert made.status_code == 201, made.text
        group = client.get(f"/api/groups/{made.get_json()['id']}", headers=admin).get_json()
        assert (group["name"], group["description"]) == (text, text)


def test_nothing_that_was_sent_ends_a_header(web: Web, clean: None) -> None:
    ends = "%0d%0aX-Injected: 1"
    for path in (
        f"/{ends}",
        f"/api/curriculum/{ends}",
        f"/api/tts/cache?text={ends}",
        f"/health?{ends}",
        f"/docs/{ends}",
    ):
        answer = web.get(path, headers={"X-Request-ID": "a%0d%0aX-Injected: 1"}, allow_redirects=False)
        assert answer.status_code < 500
        assert "X-Injected" not in answer.headers
        assert "%" not in answer.headers["X-Request-ID"]
