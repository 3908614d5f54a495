"""Requests to outside services that an administrator named: bounded in time and size, and nobody is led elsewhere."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlencode, urljoin, urlsplit

import requests
import urllib3

from config.versions import VERSION
from workers.clients import hardened
from workers.clients.networks import Networks
from workers.errors import BadInput, WorkError

if TYPE_CHECKING:
    from _typeshed import SupportsRead

# For all of a request, and for a connection; a service that thinks for long may be given more.
TIMEOUT_SECONDS, CONNECT_SECONDS, LONGEST_SECONDS = 15.0, 5.0, 120.0
# Far beyond any answer of such a service that somebody reads.
MOST_BYTES = 8 * 2**20
MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
# What a request that changes nothing is tried again after, once.
_PASSING = (502, 503, 504)
_HIDDEN = "***"
_ENCODINGS = frozenset(("utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-1", "latin-1", "windows-1252"))
# Levels of an answer.
DEEPEST = 100
_LEAST_HIDDEN = 6
# What somebody may look at first.
_HINTS = {401: "Its api_key may be missing or wrong.", 403: "Its api_key may not do this."}
_HEADERS = {"Accept": "application/json", "User-Agent": f"Voiceworks/{VERSION}"}


class ServiceError(WorkError):
    """A service did not do what it was asked for."""

    code = "upstream_error"


class NoAnswer(ServiceError):
    """It was not reached, or did not answer in time."""

    code = "upstream_unavailable"


class Refused(ServiceError):
    """It answered that it will not; ``status`` says how."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, code="upstream_unauthorized" if status in (401, 403) else "upstream_error")
        self.status = status


@dataclass(frozen=True)
class Place:
    """Where a service is and how it is asked.

    Attributes:
        key: Its credential; it is in no error and no log.
        key_in: Puts a key into the headers and the query of a request.
        verify_tls: Whether its certificate has to be good.
    """

    name: str
    url: str
    networks: Networks
    key: str | None = None
    key_in: Callable[[str], tuple[dict[str, str], dict[str, str]]] = field(default=lambda key: ({"X-Api-Key": key}, {}))
    verify_tls: bool = True
    timeout_seconds: float = TIMEOUT_SECONDS


class Client:
    """Asks one service; ``on_behalf_of`` is what whoever wants it asked is called there, where that is known.

    Every method raises `NoAnswer` where it is away, and `Refused` where it answers with an error.
    """

    def __init__(
        self, place: Place, config: Mapping[str, Any] | None = None, *, on_behalf_of: str | None = None
    ) -> None:
        self._place = place
        self.config = config or {}
        self.name = place.name
        self.on_behalf_of = on_behalf_of
        self.url = place.url
        self.key = place.key

    def get(self, path: str, **query: Any) -> Any:
        """What is at ``path``: JSON, or text where it is none."""
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """The answer to ``body``, sent as JSON."""
        return self.ask("POST", path, query=query, body=body)

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        """The answer to ``body``, sent as JSON."""
        return self.ask("PUT", path, query=query, body=body)

    def delete(self, path: str, **query: Any) -> Any:
        """The answer to a removal."""
        return self.ask("DELETE", path, query=query)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        content: SupportsRead[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer to a request; what only reads is asked twice where the first is lost on the way.

        ``body`` is sent as JSON, ``content`` as it is, while it is read.
        """
        tries = 2 if method == "GET" else 1
        for again in range(1, tries + 1):
            try:
                return self._asked(method, path, query or {}, {"json": body, "data": content}, headers or {})
            except ServiceError as fault:
                passing = isinstance(fault, NoAnswer) and fault.code == "upstream_broke_off"
                passing = passing or (isinstance(fault, Refused) and fault.status in _PASSING)
                if again == tries or not passing:
                    raise
        raise AssertionError("unreachable")

    def _asked(
        self, method: str, path: str, query: Mapping[str, Any], sent: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Any:
        place = self._place
        own_headers, own_query = place.key_in(place.key) if place.key else ({}, {})
        if not all(value.isascii() and value.isprintable() for value in own_headers.values()):
            raise Refused(f"The key of {place.name} holds characters that no header may hold.", 401)
        url = urljoin(place.url.rstrip("/") + "/", path.lstrip("/"))
        # What a path is made of may be somebody's argument.
        if urlsplit(url)[:2] != urlsplit(place.url)[:2]:
            raise BadInput(f"{path[:100]!r} leads away from {place.name}.", code="bad_arguments")
        options = {
            "params": _spelled({**query, **own_query}),
            "headers": _HEADERS | own_headers | dict(headers),
            "stream": True,
            "verify": place.verify_tls,
            **sent,
        }
        late = threading.Event()
        timeouts = (min(CONNECT_SECONDS, place.timeout_seconds), place.timeout_seconds)
        with (
            hardened.session(choose=place.networks.choose, timeout_seconds=timeouts) as (session, connections),
            hardened.cut_when_late(connections, late, place.timeout_seconds),
        ):
            try:
                for _ in range(MAX_REDIRECTS + 1):
                    with session.request(method, url, **options) as answer:
                        led_to = self._led_to(answer, method, url)
                        if led_to is None:
                            return self._read(answer, late)
                        url, options["params"] = led_to, None
                raise Refused(f"{place.name} leads on and on.", answer.status_code)
            # ValueError of a name that cannot be looked up, and of a connection that was cut while it was read.
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
                raise self._silence(fault, late=late.is_set()) from None

    def _led_to(self, answer: requests.Response, method: str, url: str) -> str | None:
        """Where the answer sends us; None where it does not.

        Raises:
            Refused: to another host, which would get the credential; or what was to be written would be lost.
        """
        location = answer.headers.get("Location")
        if answer.status_code not in _REDIRECTS or not location:
            return None
        to = urljoin(url, location)
        if method != "GET" or urlsplit(to)[:2] != urlsplit(url)[:2]:
            where = urlsplit(to).hostname or "elsewhere"
            said = f"{self.name} answered {answer.status_code}, which leads to {where}; its URL may be another."
            raise Refused(self.hide(said), answer.status_code)
        return to

    def _read(self, answer: requests.Response, late: threading.Event) -> Any:
        content = bytearray()
        for piece in answer.iter_content(1 << 16):
            content += piece
            if len(content) > MOST_BYTES:
                raise Refused(f"{self.name} answered with more than {MOST_BYTES >> 20} MiB.", answer.status_code)
        # A connection that was cut can look like the end of an answer.
        if late.is_set():
            raise TimeoutError
        text = _decoded(bytes(content), answer.encoding)
        if not answer.ok:
            # Hidden before it is cut: part of a key is one, too.
            said = f"{self.name} answered {answer.status_code}{_said(text, self.hide)}"
            hint = _HINTS.get(answer.status_code)
            raise Refused(f"{said.rstrip('.')}. {hint}" if hint else said, answer.status_code)
        try:
            return self._clean(json.loads(text) if text.strip() else None, 0)
        except (ValueError, RecursionError):
            return self._clean(text, 0)

    def _clean(self, value: Any, depth: int) -> Any:
        """An answer that can be stored and told: without our key, NUL, halves of characters, and what is no number."""
        if isinstance(value, str):
            text = storable(value)
            # A short key would be found in every other word.
            return self.hide(text) if len(self.key or "") >= _LEAST_HIDDEN else text
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, dict | list) and depth > DEEPEST:
            raise Refused(f"{self.name} answered with more than {DEEPEST} levels.", 200)
        if isinstance(value, dict):
            return {str(self._clean(name, depth)): self._clean(inner, depth + 1) for name, inner in value.items()}
        return [self._clean(inner, depth + 1) for inner in value] if isinstance(value, list) else value

    def _silence(self, fault: Exception, *, late: bool) -> ServiceError:
        why = hardened.reason(fault)
        if late or why == "timeout" or isinstance(fault, TimeoutError):
            return NoAnswer(
                f"{self.name} did not answer within {self._place.timeout_seconds:g} s.", code="upstream_timeout"
            )
        if why == "private":
            return Refused(f"{self.name} is where nobody is sent (SERVICE_NETWORKS).", 403)
        sentences = {
            "insecure": "could not be reached securely: its certificate was not accepted, or it does not speak TLS",
            "unknown": "was not found: nobody has the name in its URL",
            "refused": "refused the connection",
        }
        code = "upstream_unavailable" if why in sentences else "upstream_broke_off"
        return NoAnswer(f"{self.name} {sentences.get(why or '', 'broke off')}.", code=code)

    def hide(self, text: str) -> str:
        """The text without our key, however a server that repeats it spells it."""
        if not self.key:
            return text
        spellings = {self.key, quote(self.key, safe=""), quote(self.key), quote_plus(self.key)}
        spellings.add(json.dumps(self.key)[1:-1])
        found = "|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))
        return re.sub(found, _HIDDEN, text, flags=re.IGNORECASE)


def storable(text: str) -> str:
    """The text without NUL, which Postgres cannot hold, and without halves of characters, which nobody can write."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _decoded(content: bytes, said: str | None) -> str:
    # Others may be anything that Python has, some of which take the square of their length.
    encoding = (said or "utf-8").lower()
    return content.decode(encoding if encoding in _ENCODINGS else "utf-8", "replace")


def _spelled(query: Mapping[str, Any]) -> str:
    """A query as every server reads it: a space is %20, which some take alone, and what is true is ``true``."""
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    given = {name: value for name, value in plain.items() if value is not None}
    return urlencode(given, doseq=True, safe="", quote_via=quote)


def _said(text: str, hide: Callable[[str], str]) -> str:
    """What a service says of its error, as far as it is for people."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return "."
    found = told[0] if isinstance(told, list) and told else told
    if isinstance(found, dict):
        for name in ("message", "errorMessage", "error", "detail", "title"):
            if isinstance(found.get(name), str) and found[name].strip():
                return f": {storable(hide(found[name].strip()))[:300]}"
    return "."
