"""Requests to servers that others name: to public addresses only, and over when their time is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter

# How soon a connection that came about too late is cut.
_CUT_SECONDS = 0.2

# An address for a host and a port, or InvalidIPAddress.
Choose = Callable[[str, int], str]


@dataclass(frozen=True)
class _Line:
    """A socket, in the shape of what has one."""

    sock: Any


class _Noting(HTTPAdapter):
    """Notes its connections, so that they can be cut: a timeout of ``requests`` begins anew with every byte."""

    def __init__(self, connections: list[Any], *, choose: Choose | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._connections = connections
        self._choose = choose

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The pool of a request, whose connections are noted."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        make = pool.ConnectionCls

        def noted(*args: Any, **kwargs: Any) -> Any:
            connection = make(*args, **kwargs)
            connect = connection.connect

            def connected() -> None:
                if self._choose is not None:
                    # The address that was judged is the one connected to; names are TLS' and the server's.
                    connection._dns_host = self._choose(connection.host, connection.port)
                # Noted before TLS, too, is agreed on, where there is one by then.
                self._connections.append(connection)
                connect()
                # A connection forgets it when the server says that it will close.
                self._connections.append(_Line(connection.sock))

            connection.connect = connected
            return connection

        pool.ConnectionCls = noted
        return pool


class _NotingFilter(_Noting, IPFilterAdapter):
    """Looks a name up once, refuses it if its address is private, and connects to that address and no other."""


class _Session(HTTPSession):
    """Of a redirect, too, no more is read than whoever asked wants to."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: to follow it, ``requests`` would read an endless body into memory, even where it is not followed."""


@contextmanager
def session(
    *, timeout_seconds: tuple[float, float], allow_private: bool = True, choose: Choose | None = None
) -> Iterator[tuple[requests.Session, list[Any]]]:
    """A session for one request, never on to another, and the list that its connections come into.

    ``timeout_seconds`` are for a connection, and for each wait in an answer. ``choose`` gives the address of a host and
    a port that is connected to; without it private ones are refused, unless they are allowed.
    """
    connections: list[Any] = []
    config = Config(
        ip_filter_enable=not allow_private,
        ip_filter_allow_loopback_ips=False,
        never_redirect=True,
        default_timeout=timeout_seconds,
    )
    with _Session(config) as made:
        # No proxy, which would look the name up by itself, and nothing of a ~/.netrc.
        made.trust_env = False
        for scheme in ("http", "https"):
            adapter = (
                _Noting(connections, choose=choose)
                if allow_private
                else _NotingFilter(connections, is_https_proto=scheme == "https")
            )
            made.mount(f"{scheme}://", adapter)
        yield made, connections


@contextmanager
def cut_when_late(connections: list[Any], late: threading.Event, after_seconds: float) -> Iterator[None]:
    """Cuts the connections when the block takes too long, and says so by ``late``."""
    done = threading.Event()

    def watch() -> None:
        if done.wait(after_seconds):
            return
        late.set()
        while not done.wait(_CUT_SECONDS):
            for connection in list(connections):
                # While TLS is being agreed on there is none to cut; that ends by its own timeout.
                with suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=watch, name="request deadline", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def reason(fault: Exception) -> str | None:
    """What kept a request from being answered: ``private``, ``insecure``, ``unknown``, ``refused``, ``timeout``."""
    if isinstance(fault, requests.Timeout):
        return "timeout"
    if isinstance(fault, requests.exceptions.SSLError):
        return "insecure"
    cause: BaseException | None = fault
    while cause is not None:
        # Raised while connecting it is taken for a connection that broke, and wrapped as such.
        if isinstance(cause, InvalidIPAddress):
            return "private"
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "unknown"
        if isinstance(cause, ConnectionRefusedError):
            return "refused"
        cause = cause.__cause__ or cause.__context__
    return None
