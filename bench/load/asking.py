"""A credential, and one connection of it: every request of the load goes through here and is written down."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import requests

from bench.load.ledger import BROKEN, NOT_NOW, Asked, Ledger
from bench.service import Service

# Longer than a live request waits in the product, which is to say so itself.
_TIMEOUT_SECONDS = 150.0
# Less than a connection is kept open by the other side: a request on one that is just being closed is nobody's fault.
_KEPT_SECONDS = 20.0
FIRST_SOUND = "first sound"


@dataclass(frozen=True)
class Who:
    """Somebody with an account and a key of their own, who asks ``times`` as much as a modest one."""

    name: str
    port: int
    key: str
    times: int = 1

    @property
    def header(self) -> str:
        """Their credential, as a header line."""
        return f"X-API-Key: {self.key}"


class Line:
    """One connection, used by one thread at a time."""

    def __init__(self, who: Who, ledger: Ledger) -> None:
        self._who, self._ledger = who, ledger
        self._session, self._used = requests.Session(), time.monotonic()

    def ask(self, kind: str, method: str, path: str, **kwargs: Any) -> requests.Response | None:
        """The answer with all of its content; None where there was none, or where it broke off."""
        if time.monotonic() - self._used > _KEPT_SECONDS:
            self.close()
            self._session = requests.Session()
        began, second = time.perf_counter(), self._ledger.second()
        answer: requests.Response | None = None
        said, first = "", 0.0
        url, headers = f"http://127.0.0.1:{self._who.port}{path}", {"X-API-Key": self._who.key}
        try:
            answer = self._session.request(
                method, url, headers=headers, timeout=_TIMEOUT_SECONDS, stream=True, **kwargs
            )
            content = b""
            for piece in answer.iter_content(32_768):
                first = first or time.perf_counter()
                content += piece
            # What ``content`` gives from now on.
            answer._content = content
        except requests.RequestException as fault:
            answer, said = None, repr(fault)
        ended = time.perf_counter()
        self._used = time.monotonic()
        status = BROKEN if answer is None else answer.status_code
        retry_after = answer is not None and "Retry-After" in answer.headers
        if answer is not None and not answer.ok:
            said = answer.text
        self._write(second, kind, ended - began, status, retry_after=retry_after, said=said)
        if answer is not None and answer.ok and kind == "streamed speech":
            self._write(second, FIRST_SOUND, first - began, status, retry_after=False, said="")
        return answer

    def close(self) -> None:
        """It is not used any more."""
        self._session.close()

    def _write(self, second: float, kind: str, seconds: float, status: int, *, retry_after: bool, said: str) -> None:
        row = Asked(round(second, 3), kind, self._who.name, round(seconds * 1000, 2), status)
        self._ledger.answered(row, retry_after=retry_after, said=said)


def refused(answer: requests.Response | None) -> bool:
    """Whether it was answered that this is not the time."""
    return answer is not None and answer.status_code in NOT_NOW


def somebody(service: Service, name: str, times: int = 1) -> Who:
    """A new account with a key: a share of what is waiting is an account's, so each has one of their own."""
    port, admin = service.address
    url, password = f"http://127.0.0.1:{port}/api", secrets.token_urlsafe(16)
    account = {"username": name, "password": password}
    made = requests.post(f"{url}/users", json=account, headers={"X-API-Key": admin}, timeout=60)
    made.raise_for_status()
    signed_in = requests.post(f"{url}/auth/login", json=account, timeout=60)
    signed_in.raise_for_status()
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    key = requests.post(f"{url}/auth/keys", json={"name": "load"}, headers=bearer, timeout=60)
    key.raise_for_status()
    return Who(name, port, str(key.json()["key"]), times)
