"""Who may do what: credentials, roles, whose jobs are seen, and what is said to those who may not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token, create_refresh_token
from sqlalchemy import update
from werkzeug.test import TestResponse

from config.settings import Settings
from models import accounts, sign_ins
from models.accounts import Account
from models.db import Database
from models.jobs.tables import Job
from tests import making
from tests.conftest import CLIENT_KEY, PASSWORD
from tests.roles import key_of_role

# Something that every role but the transcribers' may ask for.
ASKED = "/api/curriculum"
HELLO = {"text": "Hello."}


@pytest.fixture
def app(client: FlaskClient) -> Flask:
    """The application behind ``client``."""
    return client.application


@pytest.fixture
def account_id(database: Database) -> str:
    """The ordinary client's account."""
    with database.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        return account.id


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def token(app: Flask, account_id: str, *, sign_in: str = "", claims: object = None, **kwargs: object) -> str:
    """A token signed by this house, of a new sign-in unless one is named."""
    if not sign_in:
        with app.extensions["voiceworks"].database.transaction() as session:
            sign_in = sign_ins.begin(session, account_id, seconds=60).id
    with app.app_context():
        return create_access_token(account_id, additional_claims={"sign_in": sign_in, **(claims or {})}, **kwargs)


def assert_unauthorized(answer: TestResponse) -> None:
    """Fails unless it is management's 401."""
    assert answer.status_code == 401, answer.text
    assert set(answer.get_json()) == {"error", "code", "details"}
    assert answer.get_json()["code"] == "UNAUTHORIZED"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_or_a_key_in_either_header_opens_the_same(client: FlaskClient, app: Flask, account_id: str) -> None:
    for headers in (
        bearer(token(app, account_id)),
        bearer(CLIENT_KEY),
        {"X-API-Key": CLIENT_KEY},
        {"X-API-Key": token(app, account_id)},
        {"Authorization": f"bearer  {CLIENT_KEY}"},
        # What is not a bearer credential is none; the key beside it counts.
        {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": CLIENT_KEY},
    ):
        assert client.get(ASKED, headers=headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": " "},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Token {CLIENT_KEY}"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": "wrong"},
        {"X-API-Key": CLIENT_KEY[:-1]},
        {"X-API-Key": CLIENT_KEY.upper()},
        {"X-API-Key": "None"},
        {"X-API-Key": "a.b.c"},
        {"Authorization": "Bearer a.b.c"},
        {"X-API-Key": "x" * 8000},
        {"X-API-Key": "kéy"},
        # A bearer token that is no good is not made up for by a good key: the client meant the token.
        {"Authorization": "Bearer wrong", "X-API-Key": CLIENT_KEY},
    ],
    ids=str,
)
def test_without_a_good_credential_everything_is_refused_in_the_surfaces_shape(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    assert_unauthorized(client.get(ASKED, headers=headers))
    assert_unauthorized(client.post("/api/tts", json=HELLO, headers=headers))


def test_a_key_in_the_query_string_opens_nothing(client: FlaskClient) -> None:
    assert_unauthorized(client.get(f"{ASKED}?token={CLIENT_KEY}"))


def test_tokens_that_are_expired_foreign_or_of_another_kind_are_refused(
    client: FlaskClient, app: Flask, account_id: str, configured: Settings
) -> None:
    good = token(app, account_id)
    assert client.get(ASKED, headers=bearer(good)).status_code == 200
    claims = jwt.decode(good, options={"verify_signature": False})
    with app.app_context():
        of_sign_in = {"sign_in": claims["sign_in"], "turn": 1}
        refresh = create_refresh_token(account_id, additional_claims=of_sign_in)
        unbound = create_access_token(account_id)
    forged = {
        "expired": token(app, account_id, expires_delta=timedelta(seconds=-5)),
        "refresh": refresh,
        "of another house": jwt.encode(claims, "another secret of sufficient length for it", algorithm="HS256"),
        "unsigned": jwt.encode(claims, None, algorithm="none"),
        "of nobody": token(app, "nobody", sign_in="nobody"),
        "of no sign-in": unbound,
        "cut": good[:-2],
        "signed otherwise": jwt.encode(claims, configured.secret_key, algorithm="HS512"),
    }
    for what, each in forged.items():
        assert client.get(ASKED, headers=bearer(each)).status_code == 401, what


def test_the_role_in_a_token_does_not_count_but_the_accounts_own(
    client: FlaskClient, app: Flask, account_id: str, database: Database
) -> None:
    mine = bearer(token(app, account_id, claims={"role": "admin"}))
    theirs = making.submit(database, account_id="somebody else")
    assert client.get(f"/api/jobs/{theirs.id}", headers=mine).status_code == 404


def test_a_disabled_account_opens_nothing_with_any_of_its_credentials(
    client: FlaskClient, app: Flask, account_id: str, database: Database
) -> None:
    mine = token(app, account_id)
    with database.transaction() as session:
        session.execute(update(Account).where(Account.id == account_id).values(disabled=True))
    assert_unauthorized(client.get(ASKED, headers=bearer(mine)))
    assert_unauthorized(client.get(ASKED, headers={"X-API-Key": CLIENT_KEY}))
    assert_unauthorized(client.post("/api/auth/login", json={"username": "client", "password": PASSWORD}))


def test_an_expired_key_opens_nothing(client: FlaskClient, database: Database) -> None:
    now = datetime.now(UTC)
    past = key_of_role(database, "client", expires_at=now - timedelta(seconds=1))
    coming = key_of_role(database, "client", expires_at=now + timedelta(hours=1))
    assert_unauthorized(client.get(ASKED, headers=past))
    assert client.get(ASKED, headers=coming).status_code == 200


def test_an_empty_header_never_equals_an_unset_key(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        accounts.ensure_admin(session, password=None, api_key="")
        admin = accounts.find(session, "admin")
        assert admin is not None
        accounts.store_key(session, admin, name="unset", role="admin", secret="")
    for headers in ({"X-API-Key": ""}, {"Authorization": "Bearer "}, {}):
        assert_unauthorized(client.get(ASKED, headers=headers))


def test_a_key_that_looks_like_a_token_is_a_key_all_the_same(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        accounts.ensure_admin(session, password=None, api_key="chosen.by.operator")
    assert client.get(ASKED, headers={"X-API-Key": "chosen.by.operator"}).status_code == 200
    assert client.get(ASKED, headers=bearer("chosen.by.operator")).status_code == 200


def test_a_key_may_have_less_than_its_account(client: FlaskClient, database: Database) -> None:
    with database.transaction() as session:
        admin = accounts.find(session, "admin")
        assert admin is not None
        accounts.store_key(session, admin, name="for transcribing", role="agent", secret="a narrow key")
    assert client.get(ASKED, headers={"X-API-Key": "a narrow key"}).status_code == 403


def test_login_tells_neither_whether_a_name_exists_nor_whether_it_is_disabled(
    client: FlaskClient, database: Database, account_id: str
) -> None:
    def refused(username: str, password: str) -> tuple[int, object]:
        answer = client.post("/api/auth/login", json={"username": username, "password": password})
        return answer.status_code, answer.get_json()

    wrong, nobody = refused("client", "not this one"), refused("nobody", PASSWORD)
    with database.transaction() as session:
        session.execute(update(Account).where(Account.id == account_id).values(disabled=True))
    assert wrong == nobody == refused("client", PASSWORD)
    assert wrong[0] == 401


def test_access_is_checked_before_the_body_is_read(client: FlaskClient) -> None:
    assert_unauthorized(client.post("/api/tts", data=b"{not json", headers={"Content-Type": "application/json"}))


# --- Whose jobs ---------------------------------------------------------------------------------------------------


def test_a_client_sees_and_changes_its_own_jobs_only(
    client: FlaskClient, customer: dict[str, str], database: Database, account_id: str
) -> None:
    mine, theirs = making.submit(database, account_id=account_id), making.submit(database, account_id="other")
    nobodys = making.submit(database)
    listed = client.get("/api/jobs", headers=customer).get_json()["jobs"]
    assert [job["id"] for job in listed] == [mine.id]
    assert client.get(f"/api/jobs/{mine.id}", headers=customer).status_code == 200
    for hidden in (theirs, nobodys):
        unknown = client.get("/api/jobs/unknown", headers=customer).get_json()["error"]
        for method, path in (
            ("GET", ""),
            ("GET", "/items"),
            ("GET", "/result"),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/retry"),
            ("POST", "/cancel"),
        ):
            answer = client.open(f"/api/jobs/{hidden.id}{path}", method=method, headers=customer)
            assert answer.status_code == 404, path
            # The same words as for one that was never there.
            assert answer.get_json()["error"] == unknown.replace("unknown", hidden.id)
        for method in ("GET", "DELETE"):
            assert client.open(f"/api/tts/prefetch/{hidden.id}", method=method, headers=customer).status_code == 404
        assert client.get(f"/api/jobs?cursor={hidden.id}", headers=customer).status_code == 400
        assert making.read(database, hidden).state == "queued"


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_those_who_run_the_house_see_every_job(client: FlaskClient, database: Database, role: str) -> None:
    jobs = {making.submit(database, account_id=owner).id for owner in ("one", "other", None)}
    headers = key_of_role(database, role)
    assert {job["id"] for job in client.get("/api/jobs", headers=headers).get_json()["jobs"]} == jobs
    assert all(client.get(f"/api/jobs/{job}", headers=headers).status_code == 200 for job in jobs)


def test_a_job_says_nothing_of_whose_it_is(client: FlaskClient, admin: dict[str, str], database: Database) -> None:
    job = making.submit(database, account_id="an account", params={"secret": "of the params"})
    for path in ("/api/jobs", f"/api/jobs/{job.id}"):
        answer = client.get(path, headers=admin).text
        assert "an account" not in answer
        assert "of the params" not in answer


# --- Request ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sane", ["a", "req-1", "01J:x.y_z", "x" * 100])
def test_a_sane_request_id_comes_back_on_every_answer(client: FlaskClient, customer: dict[str, str], sane: str) -> None:
    for path, headers in (("/health", {}), (ASKED, customer), (ASKED, {}), ("/nothing", {}), ("/a%00b", {})):
        assert client.get(path, headers=headers | {"X-Request-ID": sane}).headers["X-Request-ID"] == sane


@pytest.mark.parametrize("odd", ["", " ", "a b", "x" * 101, "a;b", "<script>", "é", "a\tb", '{"a":1}'])
def test_an_odd_request_id_is_replaced_by_ours(client: FlaskClient, odd: str) -> None:
    given = [client.get("/health", headers={"X-Request-ID": odd}).headers["X-Request-ID"] for _ in range(2)]
    assert given[0] != given[1]
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", each) for each in given)


def test_a_job_carries_the_id_of_the_request_that_made_it(
    client: FlaskClient, customer: dict[str, str], database: Database, worker: object
) -> None:
    sent = customer | {"X-Request-ID": "the-first", "Prefer": "respond-async"}
    job = client.post("/api/tts", json=HELLO, headers=sent).get_json()["job_id"]
    ours = client.post("/api/tts", json={"text": "Another."}, headers=customer)
    with database.transaction() as session:
        assert session.get_one(Job, job).request_id == "the-first"
        other = session.query(Job).where(Job.id != job).one()
        assert other.request_id == ours.headers["X-Request-ID"]
    assert client.get(f"/api/jobs/{job}", headers=customer).get_json()["request_id"] == "the-first"
