"""How often somebody may ask, and which pages may read the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
import redis
from flask.testing import FlaskClient

from config import settings
from config.settings import Settings
from tests.conftest import API_KEY, PASSWORD

Make = Callable[..., FlaskClient]
ADMIN = {"X-API-Key": API_KEY}
LOGIN = "/api/auth/login"


@pytest.fixture
def application(configured: Settings, clean: None) -> Iterator[Make]:
    """Applications that count, with these settings; nothing was counted before."""
    from app import create_app

    redis.Redis.from_url(configured.stream_redis_url).flushdb()
    made = []

    def make(**changes: object) -> FlaskClient:
        rates = configured.rate_limit_by_name | dict(changes.pop("rates", {}))
        app = create_app(replace(configured, rate_limits=True, rate_limit_by_name=rates, **changes))
        made.append(app)
        return app.test_client()

    yield make
    for app in made:
        app.extensions["voiceworks"].hub.stop()
        app.extensions["voiceworks"].database.dispose()


def test_the_rates_are_the_documents_where_nothing_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    documented = {"management": 100, "auth": 10, "tts": 60, "administration": 120, "cleanup": 6}
    assert settings.load().rate_limit_by_name == documented
    monkeypatch.setenv("RATE_LIMIT_MANAGEMENT", "7")
    assert settings.load().rate_limit_by_name == documented | {"management": 7}


def test_beyond_the_rate_is_refused_with_the_time_to_wait(application: Make) -> None:
    client = application(rates={"management": 3})
    answers = [client.get("/api/curriculum", headers=ADMIN) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers["RateLimit-Limit"] for answer in answers] == ["3"] * 5
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    refused = answers[-1]
    assert set(refused.get_json()) == {"error", "code", "details"}
    assert refused.get_json()["code"] == "RATE_LIMITED"
    assert "3 per" in refused.get_json()["error"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert 0 <= int(refused.headers["RateLimit-Reset"]) <= 60


def test_all_routes_of_a_surface_count_together_and_over_all_processes(application: Make) -> None:
    one, other = application(rates={"management": 3}), application(rates={"management": 3})
    for client, path in ((one, "/api/jobs"), (other, "/api/curriculum"), (one, "/api/users")):
        assert client.get(path, headers=ADMIN).status_code == 200
    assert other.get("/api/jobs", headers=ADMIN).status_code == 429


def test_what_is_refused_for_want_of_a_credential_counts_too(application: Make) -> None:
    client = application(rates={"management": 2})
    assert [client.get("/api/jobs").status_code for _ in range(3)] == [401, 401, 429]


def test_health_and_the_page_do_not_count(application: Make) -> None:
    client = application(rates={"management": 1})
    for _ in range(3):
        for path in ("/health", "/"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "RateLimit-Limit" not in answer.headers


def test_signing_in_has_a_rate_of_its_own(application: Make) -> None:
    client = application(rates={"auth": 2})
    body = {"username": "client", "password": PASSWORD}
    assert [client.post(LOGIN, json=body).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get("/api/jobs", headers=ADMIN).status_code == 200


def test_who_guesses_a_password_is_stopped_and_the_owner_elsewhere_is_not(application: Make) -> None:
    client = application(rates={"auth": 1000}, trusted_proxies=(ip_network("127.0.0.0/8"),))
    thief, owner = {"X-Forwarded-For": "198.51.100.7"}, {"X-Forwarded-For": "203.0.113.9"}
    wrong = {"username": "client", "password": "wrong"}
    assert [client.post(LOGIN, json=wrong, headers=thief).status_code for _ in range(6)] == [401] * 5 + [429]
    right = {"username": "Client", "password": PASSWORD}
    # The name in other letters is the same guess; the right password does not help who guessed too often.
    assert client.post(LOGIN, json=right, headers=thief).status_code == 429
    assert client.post(LOGIN, json=right | {"username": "client"}, headers=owner).status_code == 200
    assert client.post(LOGIN, json=wrong | {"username": "other"}, headers=thief).status_code == 401


def test_an_account_that_is_guessed_from_everywhere_is_closed_for_a_while(application: Make) -> None:
    client = application(rates={"auth": 1000}, trusted_proxies=(ip_network("127.0.0.0/8"),))
    wrong = {"username": "client", "password": "wrong"}
    codes = [
        client.post(LOGIN, json=wrong, headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(101)
    ]
    assert codes == [401] * 100 + [429]


def test_success_counts_against_nobody(application: Make) -> None:
    client = application(rates={"auth": 1000})
    right = {"username": "client", "password": PASSWORD}
    assert {client.post(LOGIN, json=right).status_code for _ in range(8)} == {200}


def test_speech_counts_when_it_is_made_and_not_when_it_is_there(application: Make, worker: object) -> None:
    client = application(rates={"tts": 2, "management": 1})
    for text in ("One.", "Two."):
        made = client.post("/api/tts", json={"text": text}, headers=ADMIN)
        assert (made.status_code, made.headers["RateLimit-Limit"]) == (200, "2")
    for _ in range(3):
        hit = client.post("/api/tts", json={"text": "One."}, headers=ADMIN)
        assert (hit.status_code, hit.headers["X-TTS-Cache-Status"]) == (200, "hit")
        assert client.get(hit.headers["Content-Location"], headers=ADMIN).status_code == 200
    refused = client.post("/api/tts", json={"text": "Three."}, headers=ADMIN)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "RATE_LIMITED")


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(application: Make) -> None:
    unbelieved = application(rates={"management": 1})
    codes = [
        unbelieved.get("/api/jobs", headers=ADMIN | {"X-Forwarded-For": f"203.0.113.{number}"}).status_code
        for number in range(2)
    ]
    assert codes == [200, 429]


def test_of_many_hops_the_last_that_no_trusted_proxy_vouches_for_counts(application: Make) -> None:
    client = application(rates={"management": 1}, trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8")))

    def asks(forwarded: str) -> int:
        return client.get("/api/jobs", headers=ADMIN | {"X-Forwarded-For": forwarded}).status_code

    assert asks("203.0.113.1, 10.0.0.5") == 200
    # What the client wrote itself before its own address changes nothing.
    assert asks("198.51.100.1, 203.0.113.1") == 429
    assert asks("203.0.113.2") == 200
    # One client has a whole network of IPv6.
    assert asks("2001:db8:1:2::1") == 200
    assert asks("2001:db8:1:2:ffff::9") == 429
    assert asks("2001:db8:1:3::1") == 200
    assert asks("no address") == 200
    # The port that some proxies add does not make somebody else of each connection.
    assert [asks(f"192.0.2.7:{port}") for port in (40001, 40002)] == [200, 429]
    assert asks("[2001:db8:1:3::1]:40001") == 429


def test_addresses_of_ipv4_on_a_socket_for_both_kinds_are_not_one_network(application: Make) -> None:
    client = application(rates={"management": 1}, trusted_proxies=(ip_network("10.0.0.0/8"),))

    def asks(address: str, forwarded: str = "") -> int:
        headers = ADMIN | ({"X-Forwarded-For": forwarded} if forwarded else {})
        return client.get("/api/jobs", headers=headers, environ_base={"REMOTE_ADDR": address}).status_code

    assert asks("::ffff:203.0.113.8") == 200
    assert asks("::ffff:203.0.113.9") == 200
    assert asks("203.0.113.9") == 429
    assert asks("::ffff:10.0.0.1", "203.0.113.10") == 200
    assert asks("10.0.0.1", "203.0.113.10") == 429


def test_a_credential_is_counted_as_one_whatever_is_sent_beside_it(application: Make) -> None:
    client = application(rates={"administration": 2})
    answers = [
        client.get("/api/stats", base_url="http://localhost:7860", headers=ADMIN | {"Authorization": f"Basic {number}"})
        for number in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/api/v1/audit", "administration"),
        ("POST", "/api/v1/cleanup", "cleanup"),
    ],
)
def test_whoever_invents_a_credential_for_each_request_counts_by_address(
    application: Make, method: str, path: str, name: str
) -> None:
    client = application(rates={name: 2}, trusted_proxies=(ip_network("127.0.0.0/8"),))

    def asks(key: str, address: str) -> int:
        return client.open(path, method=method, headers={"X-API-Key": key, "X-Forwarded-For": address}).status_code

    assert [asks(f"invented {number}", "198.51.100.7") for number in range(4)] == [401, 401, 429, 429]
    assert asks("another", "203.0.113.9") == 401


def test_off_means_off_and_is_said(client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    from app import create_app

    capsys.readouterr()
    made = create_app(client.application.extensions["voiceworks"].settings)
    assert "RATE_LIMITS=off" in capsys.readouterr().err
    made.extensions["voiceworks"].database.dispose()
    for _ in range(120):
        answer = client.get("/api/jobs", headers=ADMIN)
        assert answer.status_code == 200
    assert "RateLimit-Limit" not in answer.headers


def test_counting_goes_on_alone_while_redis_is_away(application: Make) -> None:
    client = application(rates={"management": 2}, stream_redis_url="redis://127.0.0.1:1/0")
    assert [client.get("/api/jobs", headers=ADMIN).status_code for _ in range(3)] == [200, 200, 429]


def test_whoever_is_being_counted_when_redis_goes_is_counted_here(
    application: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = application(rates={"management": 100})
    limiter = client.application.extensions["voiceworks"].limits._limiter
    hit = limiter._limiter.hit

    def goes_meanwhile(*args: object, **kwargs: object) -> bool:
        # Another request has found out first.
        limiter._storage_dead = True
        monkeypatch.setattr(limiter._limiter, "hit", hit)
        raise redis.ConnectionError("Connection closed by server.")

    monkeypatch.setattr(limiter._limiter, "hit", goes_meanwhile)
    answer = client.get("/api/jobs", headers=ADMIN)
    assert (answer.status_code, limiter._storage_dead) == (200, True)


def test_what_cannot_be_done_without_redis_is_refused_for_a_while(application: Make) -> None:
    client = application(redis_url="redis://127.0.0.1:1/0")
    answer = client.post("/api/auth/ws-ticket", headers=ADMIN)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"


# --- Origins ----------------------------------------------------------------------------------------------------------


def preflight(client: FlaskClient, path: str, origin: str) -> dict[str, str]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = client.options(path, headers=asked)
    assert answer.status_code == 200
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://localhost:3001"])
def test_the_documented_pages_may_read_answers_and_errors(client: FlaskClient, origin: str) -> None:
    allowed = preflight(client, "/api/tts", origin)
    assert allowed["Access-Control-Allow-Origin"] == origin
    assert "POST" in allowed["Access-Control-Allow-Methods"]
    assert allowed["Access-Control-Allow-Headers"].lower() == "authorization"
    assert "Access-Control-Allow-Credentials" not in allowed
    for headers, status in ((ADMIN, 200), ({}, 401)):
        answer = client.get("/api/curriculum", headers=headers | {"Origin": origin})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, origin)
        assert "Origin" in answer.headers["Vary"]
        assert "RateLimit-Remaining" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", ["http://localhost:3002", "https://localhost:3000", "http://evil.example", "null"])
def test_other_pages_may_not(client: FlaskClient, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(client, "/api/tts", origin)
    answer = client.get("/api/curriculum", headers=ADMIN | {"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_other_surfaces_have_no_pages_of_other_origins(client: FlaskClient) -> None:
    allowed = preflight(client, "/v1/audio/speech", "http://localhost:3000")
    assert "Access-Control-Allow-Origin" not in allowed


def test_an_operator_names_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://console.example, http://10.0.0.2:8080")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,::1")
    found = settings.load()
    assert found.cors_origins == ("https://console.example", "http://10.0.0.2:8080")
    assert found.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    monkeypatch.setenv("CORS_ORIGINS", "https://*.example")
    # Read as a pattern, it would fit https://evil.example.org.
    with pytest.raises(settings.SettingsError, match="no origin"):
        settings.load()
    monkeypatch.setenv("CORS_ORIGINS", "console.example/")
    monkeypatch.setenv("TRUSTED_PROXIES", "proxy")
    monkeypatch.setenv("RATE_LIMITS", "maybe")
    with pytest.raises(settings.SettingsError) as fault:
        settings.load()
    assert sorted(re.findall(r"(?m)^(\w+):", str(fault.value))) == ["CORS_ORIGINS", "RATE_LIMITS", "TRUSTED_PROXIES"]
