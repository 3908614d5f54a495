"""How often somebody may ask: counted over all web processes, in each alone while Redis is away.

A route counts under its surface's name, or one of its own (``SurfaceBlueprint.endpoint``). What counts elsewhere or
not at all (health, pages, audio that is there already) is ``UNCOUNTED``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
from collections.abc import Callable

import redis
from flask import Flask, Response, g, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.errors import RateLimitExceeded

from app.http import access
from config.settings import Settings
from models import redis_keys

UNCOUNTED = "uncounted"
# What counts by the credential, not by the address.
_BY_CREDENTIAL = ("administration", "cleanup")


class Limits:
    """The counters of one application."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._trusted = settings.trusted_proxies
        self._checks: dict[str, Callable[[], None]] = {}
        if not settings.rate_limits:
            app.logger.warning("RATE_LIMITS=off: nobody is held back, not even from guessing passwords")
            return
        self._limiter = Limiter(
            self.address,
            app=app,
            # Counters need not survive a power cut, so they are kept where nothing is logged.
            storage_uri=settings.stream_redis_url.replace("unix://", "redis+unix://", 1),
            # Two windows, weighted: a fixed one lets twice the rate through around its edge.
            strategy="sliding-window-counter",
            in_memory_fallback_enabled=True,
            key_prefix=redis_keys.RATE_PREFIX,
        )
        for name, rate in settings.rate_limit_by_name.items():
            by_credential = name in _BY_CREDENTIAL
            self._add(name, f"{rate} per minute", self._credential if by_credential else None)
            if by_credential:
                # Whoever invents a new credential for each request has none.
                self._add(_refused(name), f"{rate} per minute", None, failures_only=True)
        # Of signing in, failures only. Who guesses from one place is stopped soon, and the account's owner, who comes
        # from another, is not locked out with them; guesses from many places at once are stopped later.
        self._add("login", "5 per 5 minutes", lambda: f"{g.login_username} {self.address()}", failures_only=True)
        self._add("login_account", "100 per hour", lambda: g.login_username, failures_only=True)
        app.after_request(self._describe)

    def count(self, name: str) -> None:
        """One more request of this name.

        Raises:
            RateLimitExceeded: it is one too many.
        """
        check = self._checks.get(name)
        if check is None:
            return
        try:
            try:
                check()
            except redis.RedisError:
                # Redis went while several were being counted: the first of them is the only one that the library counts
                # again, in this process.
                check()
            # The first is the route's own: what clients can reckon with. Failures are nobody's plan.
            g.setdefault("rate", self._limiter.current_limit)
        except RateLimitExceeded as fault:
            g.rate = self._limiter.current_limit
            rate = str(fault.limit.limit).replace(" 1 ", " ")
            fault.description = f"Too many requests: {rate} are allowed."
            raise
        if name in _BY_CREDENTIAL:
            self.count(_refused(name))

    def address(self) -> str:
        """Where the request comes from, beyond trusted proxies; of IPv6 the network, of which one client has all."""
        address = request.remote_addr or ""
        for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            parsed = _parsed(address)
            if parsed is None or not hop.strip() or not any(parsed in network for network in self._trusted):
                break
            address = hop.strip()
        parsed = _parsed(address)
        if isinstance(parsed, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed or address) or "nowhere"

    def _credential(self) -> str:
        """Whose requests count together where a credential does; the credential itself is not kept."""
        offered = access.offered()
        return hashlib.sha256(offered.encode("utf-8", "surrogatepass")).hexdigest() if offered else self.address()

    def _add(self, name: str, rate: str, key: Callable[[], str] | None, *, failures_only: bool = False) -> None:
        def check() -> None:
            """Does nothing beyond being counted."""

        # flask-limiter tells what it limits by this name.
        check.__qualname__ = f"Limits.{name}"
        limited = self._limiter.shared_limit(
            rate, scope=name, key_func=key or self.address, deduct_when=_was_refused if failures_only else None
        )
        self._checks[name] = limited(check)

    def _describe(self, response: Response) -> Response:
        """The fields of the IETF's draft (draft-ietf-httpapi-ratelimit-headers): times in seconds from now."""
        found: RequestLimit | None = g.get("rate")
        if found is not None:
            # The library rounds up to the next second.
            seconds = min(max(0, round(found.reset_at - time.time())), found.limit.get_expiry())
            response.headers["RateLimit-Limit"] = str(found.limit.amount)
            response.headers["RateLimit-Remaining"] = str(found.remaining)
            response.headers["RateLimit-Reset"] = str(seconds)
            if found.breached:
                response.headers["Retry-After"] = str(max(1, seconds))
        return response


def _refused(name: str) -> str:
    return f"{name}_refused"


def _was_refused(response: Response) -> bool:
    return response.status_code == 401


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    # Some proxies add the port, which would make somebody else of each connection.
    bare = re.fullmatch(r"\[(.+)\](?::\d+)?|([\d.]+):\d+", address)
    try:
        parsed = ipaddress.ip_address((bare[1] or bare[2]) if bare else address)
    except ValueError:
        return None
    # How a socket for both kinds shows IPv4: all of it would be one network of IPv6.
    return getattr(parsed, "ipv4_mapped", None) or parsed
