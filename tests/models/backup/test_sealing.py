"""Secrets in backups: sealed for one place in one file, and opened there by whoever knows the passphrase."""

from __future__ import annotations

from typing import Any

import pytest

from models.backup import sealing
from models.backup.sealing import ByInstallation, Cipher
from models.errors import Invalid

PASSPHRASE = "correct horse battery staple"
SECRET_KEY = "k" * 64


@pytest.fixture(scope="module")
def cipher() -> Cipher:
    return sealing.under(PASSPHRASE)


def opener(said: dict[str, Any], passphrase: str | None = PASSPHRASE) -> Cipher:
    found = sealing.of_file(said, passphrase=passphrase, secret_key=SECRET_KEY)
    assert found is not None
    return found


def test_what_was_sealed_opens_with_the_passphrase_and_what_the_file_says(cipher: Cipher) -> None:
    sealed = cipher.seal("a secret", "services Plex")
    assert "a secret" not in sealed
    assert opener(cipher.described()).open(sealed, "services Plex") == "a secret"


def test_the_cost_of_a_guess_is_what_is_advised_for_scrypt(cipher: Cipher) -> None:
    said = cipher.described()
    assert (said["kdf"], said["n"] >= 2**15, said["r"], said["n"] * said["p"] >= 3 * 2**15) == ("scrypt", True, 8, True)
    assert said["cipher"] == "aes-256-gcm"


def test_no_two_files_and_no_two_secrets_look_alike(cipher: Cipher) -> None:
    assert cipher.described()["salt"] != sealing.under(PASSPHRASE).described()["salt"]
    assert cipher.seal("same", "here") != cipher.seal("same", "here")


def test_a_passphrase_is_the_same_however_its_letters_are_composed() -> None:
    made = sealing.under("caf\u00e9 cafe\u0301")
    assert opener(made.described(), "cafe\u0301 caf\u00e9").open(made.seal("s", "p"), "p") == "s"


@pytest.mark.parametrize("sealed", ["", "AAAA", "not base64 at all", "x" * 200])
def test_what_was_not_sealed_is_refused(cipher: Cipher, sealed: str) -> None:
    with pytest.raises(Invalid) as refused:
        cipher.open(sealed, "here")
    assert refused.value.code == "backup_corrupt"


def test_a_secret_opens_only_in_its_place(cipher: Cipher) -> None:
    for each in (cipher, ByInstallation(SECRET_KEY)):
        sealed = each.seal("a secret", "services Plex")
        with pytest.raises(Invalid, match="services Radarr"):
            each.open(sealed, "services Radarr")


def test_a_snapshot_opens_only_under_the_key_of_its_installation() -> None:
    sealed = ByInstallation(SECRET_KEY).seal("a secret", "here")
    assert opener({"mode": "installation"}, None).open(sealed, "here") == "a secret"
    with pytest.raises(Invalid, match="SECRET_KEY"):
        ByInstallation("another").open(sealed, "here")


@pytest.mark.parametrize(
    ("passphrase", "code"), [("wrong", "backup_passphrase_wrong"), (None, "backup_passphrase_needed")]
)
def test_without_the_passphrase_nothing_opens(cipher: Cipher, passphrase: str | None, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        opener(cipher.described(), passphrase)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        *({"n": 2**30}, {"n": 1024}, {"n": 2**15 + 1}, {"n": "32768"}, {"n": True}, {"r": 1000}, {"p": 0}),
        *({"salt": "?"}, {"salt": ""}, {"kdf": "md5"}, {"cipher": "rot13"}, {"mode": "plain"}),
    ],
)
def test_numbers_that_protect_nothing_or_cost_too_much_are_refused(cipher: Cipher, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        opener(cipher.described() | change)
    assert refused.value.code == "backup_corrupt"


def test_a_file_without_secrets_needs_no_passphrase() -> None:
    for said in (None, {}, {"mode": "omitted"}):
        assert sealing.of_file(said, passphrase=None, secret_key=SECRET_KEY) is None
