"""``callback_url``: where it is told that a job has ended. A field for the body of every POST that makes one."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from app import context
from app.http.parsing import Text

MAX_CHARACTERS = 2000
# What a URL is written with (RFC 3986); two readers of anything else might not see the same host in it.
_WRITTEN = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
# Addresses that stand for another network's, or were given up; Python counts them as global.
_ODD = [
    ipaddress.ip_network(network)
    for network in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fec0::/10", "192.88.99.0/24")
]


class CallbackUrl(Text):
    """A URL that is told of a job's end, None without one; no private address is taken unless the operator allows it.

    A name is looked up when it is told, not before (``workers.clients.webhook``).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            maximum=MAX_CHARACTERS,
            load_default=None,
            allow_none=True,
            metadata={"format": "uri", "description": "Told of the job's end"},
            **kwargs,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        url = super()._deserialize(value, attr, data, **kwargs)
        host = _host(url)
        if not context.current().settings.webhook_allow_private and is_private(host):
            raise ValidationError(f"{host!r} is a private address, which only WEBHOOK_ALLOW_PRIVATE=1 allows")
        return url


def _host(url: str) -> str:
    """The host of a URL that could be told.

    Raises:
        ValidationError: it is none.
    """
    if not _WRITTEN.fullmatch(url):
        raise ValidationError(f"{url[:60]!r} is no URL (a name of other letters is written in Punycode)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValidationError(f"{url[:60]!r} is no URL") from None
    if parts.scheme not in ("http", "https"):
        raise ValidationError(f"{url[:60]!r} begins with neither http:// nor https://")
    if "@" in parts.netloc:
        raise ValidationError("it holds credentials; the signature says who we are")
    if not parts.hostname or port == 0:
        raise ValidationError(f"{url[:60]!r} names no host")
    return parts.hostname


def is_private(host: str) -> bool:
    """Whether a host is written as an address that is not a public one, in whatever spelling; of other names: no."""
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        try:
            # What a resolver takes for an address, too: 2130706433, 0x7f.1, 0177.0.0.1.
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    odd = any(address in network for network in _ODD if network.version == address.version)
    return odd or address.is_multicast or not address.is_global
