"""Accounts and keys: what opens, what does not, and that no secret is kept."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from models import accounts, sign_ins
from models.accounts import Account, ApiKey, Caller
from models.base import utc_now
from models.db import Database
from models.errors import Conflict, Invalid, NotFound
from tests import making

PASSWORD = "correct horse battery"


def create(database: Database, username: str = "ada", role: str = "client", password: str = PASSWORD) -> Account:
    with database.transaction() as session:
        return accounts.create(session, username=username, password=password, role=role, email="ada@example.org")


def caller(database: Database, secret: str) -> Caller | None:
    with database.transaction() as session:
        return accounts.caller_of_key(session, secret)


# --- Passwords -------------------------------------------------------------------------------------------------------


def test_only_the_right_password_fits(database: Database) -> None:
    account = create(database)
    assert accounts.password_fits(account, PASSWORD)
    assert not accounts.password_fits(account, PASSWORD + " ")
    assert not accounts.password_fits(account, PASSWORD.upper())
    assert not accounts.password_fits(account, "")


def test_no_password_fits_nobody() -> None:
    assert not accounts.password_fits(None, PASSWORD)
    # Not even that of the account that is checked in his place.
    assert not accounts.password_fits(None, "nobody")


def test_no_password_fits_a_disabled_account(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        session.get_one(Account, account.id).disabled = True
    with database.transaction() as session:
        disabled = accounts.find(session, "ada")
    assert not accounts.password_fits(disabled, PASSWORD)


def test_a_hash_that_is_none_opens_nothing(database: Database) -> None:
    assert not accounts.password_fits(Account(password_hash="", disabled=False), "")
    assert not accounts.password_fits(Account(password_hash=PASSWORD, disabled=False), PASSWORD)


def test_a_password_is_stored_as_argon2_with_its_own_salt(database: Database) -> None:
    first, second = create(database, "ada"), create(database, "bob")
    assert first.password_hash.startswith("$argon2id$")
    assert first.password_hash != second.password_hash
    assert PASSWORD not in first.password_hash


@pytest.mark.parametrize("password", ["", "1234567"])
def test_a_short_password_is_refused_naming_its_length(database: Database, password: str) -> None:
    with pytest.raises(Invalid, match=f"has {len(password)} characters"):
        create(database, password=password)


def test_an_unknown_role_is_refused_naming_it(database: Database) -> None:
    with pytest.raises(Invalid, match="'root' is not one of admin, operator, agent, client"):
        create(database, role="root")


def test_a_name_is_given_once(database: Database) -> None:
    create(database)
    with pytest.raises(Conflict, match="'ada'"):
        create(database)


def test_of_two_who_want_a_name_at_once_one_is_told_that_it_is_taken(database: Database) -> None:
    def try_it(_: int) -> bool:
        try:
            create(database)
        except Conflict:
            return False
        return True

    assert sum(making.at_once(4, try_it)) == 1


def test_who_signed_in_is_who_the_account_is_now(database: Database) -> None:
    account = create(database, role="operator")
    with database.transaction() as session:
        sign_in = sign_ins.begin(session, account.id, seconds=60).id
        assert sign_ins.caller(session, sign_in) == Caller(account.id, "ada", "operator", sign_in)
        assert sign_ins.caller(session, "gone") is None
        session.get_one(Account, account.id).disabled = True
    with database.transaction() as session:
        assert sign_ins.caller(session, sign_in) is None


# --- Keys ------------------------------------------------------------------------------------------------------------


def key(database: Database, account: Account, **fields: object) -> tuple[ApiKey, str]:
    with database.transaction() as session:
        return accounts.create_key(session, account, name="test", **fields)  # type: ignore[arg-type]


def test_a_key_opens_for_its_account_with_its_own_role(database: Database) -> None:
    account = create(database, role="admin")
    made, secret = key(database, account, role="client")
    assert caller(database, secret) == Caller(account.id, "ada", "client", key_id=made.id)


def test_a_key_has_its_account_s_role_unless_another_is_given(database: Database) -> None:
    _, secret = key(database, create(database, role="agent"))
    found = caller(database, secret)
    assert found is not None
    assert found.role == "agent"


def test_a_secret_is_random_and_only_its_hash_is_stored(database: Database) -> None:
    account = create(database)
    (stored, secret), (_, other) = key(database, account), key(database, account)
    assert secret.startswith("vw_")
    # 256 bits in base64 without padding.
    assert len(secret) == len("vw_") + 43
    assert secret != other
    assert stored.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert not any(secret in str(value) for value in making.row(stored).values())


@pytest.mark.parametrize("secret", ["", "vw_", "nothing", " ", "a\ud800b", "vw_" + "x" * 5000])
def test_what_is_no_key_opens_nothing(database: Database, secret: str) -> None:
    key(database, create(database))
    assert caller(database, secret) is None


def test_an_empty_secret_opens_nothing_even_if_its_hash_were_stored(database: Database) -> None:
    account = create(database)
    with database.transaction() as session:
        accounts.store_key(session, account, name="mistake", role="admin", secret="")
    assert caller(database, "") is None


def test_the_hash_itself_opens_nothing(database: Database) -> None:
    stored, _ = key(database, create(database))
    assert caller(database, stored.digest) is None


def test_an_expired_key_opens_nothing(database: Database) -> None:
    account = create(database)
    _, past = key(database, account, expires_at=utc_now() - timedelta(seconds=1))
    _, future = key(database, account, expires_at=utc_now() + timedelta(hours=1))
    assert caller(database, past) is None
    assert caller(database, future) is not None


def test_the_keys_of_a_disabled_account_open_nothing(database: Database) -> None:
    account = create(database)
    _, secret = key(database, account)
    with database.transaction() as session:
        session.get_one(Account, account.id).disabled = True
    assert caller(database, secret) is None


def test_a_revoked_key_opens_nothing(database: Database) -> None:
    account = create(database)
    stored, secret = key(database, account)
    with database.transaction() as session:
        accounts.revoke_key(session, stored.id)
    assert caller(database, secret) is None
    with pytest.raises(NotFound, match=stored.id), database.transaction() as session:
        accounts.revoke_key(session, stored.id)


def test_a_key_of_an_unknown_role_is_refused(database: Database) -> None:
    account = create(database)
    with pytest.raises(Invalid, match="'root'"):
        key(database, account, role="root")


def test_the_use_of_a_key_is_noted(database: Database) -> None:
    account = create(database)
    (used, secret), (unused, _) = key(database, account), key(database, account)
    with database.transaction() as session:
        accounts.keys_used(session, [secret])
    with database.transaction() as session:
        assert session.get_one(ApiKey, used.id).last_used_at is not None
        assert session.get_one(ApiKey, unused.id).last_used_at is None


# --- The first admin -------------------------------------------------------------------------------------------------


def ensure(database: Database, password: str | None = None, api_key: str | None = None) -> str | None:
    with database.transaction() as session:
        return accounts.ensure_admin(session, password=password, api_key=api_key)


def count(database: Database, table: type[Account] | type[ApiKey]) -> int:
    with database.transaction() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_made_up_password_is_shown_once_and_works(database: Database) -> None:
    shown = ensure(database)
    assert shown
    with database.transaction() as session:
        admin = accounts.find(session, "admin")
    assert admin is not None
    assert admin.role == "admin"
    assert accounts.password_fits(admin, shown)
    assert ensure(database) is None
    assert count(database, Account) == 1


def test_a_chosen_password_is_not_shown(database: Database) -> None:
    assert ensure(database, PASSWORD) is None
    with database.transaction() as session:
        assert accounts.password_fits(accounts.find(session, "admin"), PASSWORD)


def test_a_second_release_changes_nothing(database: Database) -> None:
    ensure(database, PASSWORD, "vw_first_key")
    ensure(database, "another password", "vw_first_key")
    assert (count(database, Account), count(database, ApiKey)) == (1, 1)
    with database.transaction() as session:
        assert accounts.password_fits(accounts.find(session, "admin"), PASSWORD)


def test_a_changed_key_of_the_environment_is_obeyed(database: Database) -> None:
    ensure(database, PASSWORD, "vw_first_key")
    ensure(database, None, "vw_second_key")
    for secret in ("vw_first_key", "vw_second_key"):
        found = caller(database, secret)
        assert found is not None
        assert found.role == "admin"


def test_an_unset_key_makes_none(database: Database) -> None:
    ensure(database, PASSWORD, None)
    ensure(database, PASSWORD, "")
    assert count(database, ApiKey) == 0


def test_another_admin_is_enough(database: Database) -> None:
    create(database, "boss", "admin")
    assert ensure(database) is None
    assert count(database, Account) == 1


def test_two_releases_at_once_make_one_admin(database: Database) -> None:
    shown = making.at_once(4, lambda _: ensure(database, None, "vw_key"))
    assert len([password for password in shown if password]) == 1
    assert (count(database, Account), count(database, ApiKey)) == (1, 1)
