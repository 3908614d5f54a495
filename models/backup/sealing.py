"""Secrets in backups: left out, encrypted under a passphrase, or (snapshots) with this installation's own key."""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from models.errors import Invalid
from models.gateway import vault

OMITTED, PASSPHRASE, INSTALLATION = "omitted", "passphrase", "installation"
# 32 MiB and about 0.3 s of a core a guess: one of OWASP's equivalent settings for scrypt.
_COST, _BLOCK, _PARALLEL = 2**15, 8, 3
# Of a file's own numbers: what takes more than this machine should spend is refused, less is no protection.
_COSTS = tuple(2**power for power in range(14, 17))
_BLOCKS, _PARALLELS = range(1, 9), range(1, 5)
# What the largest of them need, and a little.
_MOST_BYTES = 65 * 2**20
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_CHECK = "the passphrase of a backup"


class Cipher(Protocol):
    """What secrets of one file are sealed and opened with; ``purpose`` binds each to its place."""

    def seal(self, text: str, purpose: str) -> str:
        """The secret, for the file."""

    def open(self, sealed: str, purpose: str) -> str:
        """The secret.

        Raises:
            Invalid: it was not sealed so, or not for this place.
        """

    def described(self) -> dict[str, Any]:
        """What the file says of how its secrets are kept."""


@dataclass(frozen=True)
class ByPassphrase:
    """AES-256-GCM under a key that scrypt makes of a passphrase."""

    key: bytes
    said: Mapping[str, Any]

    def seal(self, text: str, purpose: str) -> str:
        """The secret, for the file."""
        nonce = os.urandom(_NONCE_BYTES)
        return _text(nonce + AESGCM(self.key).encrypt(nonce, text.encode(), purpose.encode()))

    def open(self, sealed: str, purpose: str) -> str:
        """The secret.

        Raises:
            Invalid: it was not sealed so, or not for this place.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            return AESGCM(self.key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError):
            raise Invalid(
                f"The secret of {purpose} cannot be opened: the file was changed.", code="backup_corrupt"
            ) from None

    def described(self) -> dict[str, Any]:
        """What the file says of how its secrets are kept."""
        return {**self.said, "check": self.seal(_CHECK, _CHECK)}


@dataclass(frozen=True)
class ByInstallation:
    """The key under which this installation stores its secrets."""

    secret_key: str

    def seal(self, text: str, purpose: str) -> str:
        """The secret, for the file."""
        return vault.seal(self.secret_key, text, f"a backup: {purpose}")

    def open(self, sealed: str, purpose: str) -> str:
        """The secret.

        Raises:
            Invalid: it was not sealed here, or not for this place.
        """
        try:
            return vault.unseal(self.secret_key, sealed, f"a backup: {purpose}")
        except vault.Unreadable:
            raise Invalid(
                f"The secret of {purpose} cannot be opened: it was sealed under another SECRET_KEY, or changed.",
                code="backup_corrupt",
            ) from None

    def described(self) -> dict[str, Any]:
        """What the file says of how its secrets are kept."""
        return {"mode": INSTALLATION}


def under(passphrase: str) -> ByPassphrase:
    """A cipher for a new file. About 0.3 s of CPU: keep off the event loop."""
    said = {
        "mode": PASSPHRASE,
        "kdf": "scrypt",
        "n": _COST,
        "r": _BLOCK,
        "p": _PARALLEL,
        "salt": _text(os.urandom(_SALT_BYTES)),
        "cipher": "aes-256-gcm",
    }
    return ByPassphrase(_stretched(passphrase, said), said)


def of_file(said: Mapping[str, Any] | None, *, passphrase: str | None, secret_key: str) -> Cipher | None:
    """What opens the secrets of a file; None of one that has none sealed. It may take 0.3 s: keep off the event loop.

    Raises:
        Invalid: the passphrase is missing or wrong, or the file seals in a way that is unknown here.
    """
    mode = (said or {}).get("mode", OMITTED)
    if said is None or mode == OMITTED:
        return None
    if mode == INSTALLATION:
        return ByInstallation(secret_key)
    if mode != PASSPHRASE or (said.get("kdf"), said.get("cipher")) != ("scrypt", "aes-256-gcm"):
        raise Invalid("secrets: this file seals its secrets in a way that is unknown here", code="backup_corrupt")
    if not passphrase:
        raise Invalid(
            "passphrase: the secrets of this file are encrypted; it takes the passphrase it was made with",
            code="backup_passphrase_needed",
        )
    cipher = ByPassphrase(_stretched(passphrase, said), said)
    try:
        cipher.open(str(said.get("check")), _CHECK)
    except Invalid:
        raise Invalid(
            "passphrase: it is not the one that this file was made with", code="backup_passphrase_wrong"
        ) from None
    return cipher


def _stretched(passphrase: str, said: Mapping[str, Any]) -> bytes:
    numbers = [number for number in map(said.get, ("n", "r", "p")) if type(number) is int]
    cost, block, parallel = numbers if len(numbers) == 3 else (0, 0, 0)
    try:
        salt = base64.b64decode(str(said.get("salt")), validate=True)
    except ValueError:
        salt = b""
    if not (salt and cost in _COSTS and block in _BLOCKS and parallel in _PARALLELS):
        raise Invalid("secrets: its numbers for scrypt are not ones that are taken here", code="backup_corrupt")
    # However a keyboard composes its letters.
    typed = unicodedata.normalize("NFC", passphrase).encode()
    return hashlib.scrypt(typed, salt=salt, n=cost, r=block, p=parallel, maxmem=_MOST_BYTES, dklen=_KEY_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
