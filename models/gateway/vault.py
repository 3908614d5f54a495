"""Secrets at rest: encrypted with a key that only this installation has, and bound to what they are for."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.errors import Conflict

# AES-GCM's own.
_NONCE_BYTES = 12


class Unreadable(Conflict):
    """What was sealed cannot be opened: it was sealed under another ``SECRET_KEY``, or changed since."""

    code = "secret_unreadable"


def seal(secret_key: str, text: str, purpose: str) -> str:
    """``text``, encrypted; it opens for the same ``purpose`` only."""
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(secret_key).encrypt(nonce, text.encode(), purpose.encode())).decode()


def unseal(secret_key: str, sealed: str, purpose: str) -> str:
    """What was sealed.

    Raises:
        Unreadable: it was not by this key, for this purpose.
    """
    try:
        raw = base64.b64decode(sealed, validate=True)
        return _cipher(secret_key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
    except (InvalidTag, ValueError):
        raise Unreadable(f"The secret of {purpose} was stored under another SECRET_KEY; enter it again.") from None


def _cipher(secret_key: str) -> AESGCM:
    # SECRET_KEY has 256 random bits, and needs no stretching; it signs tokens, too, so this key is one of its own.
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"voiceworks stored secrets").derive(secret_key.encode()))
