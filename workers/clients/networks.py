"""Where outside services may be: an explicit list of networks, and never where a cloud tells its machines' secrets."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests_hardened.ip_filter import InvalidIPAddress

from workers.errors import BadInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARACTERS = 2000
# Of home and of work: this machine, RFC 1918, RFC 6598 (mesh VPNs use it), RFC 4193.
_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
# What answers there hands out credentials of the machine, or belongs to whoever runs the network.
_METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            # Link-local: AWS, Azure, Google, Oracle, DigitalOcean, OpenStack and others at 169.254.169.254.
            *("169.254.0.0/16", "fe80::/10"),
            # AWS and Google by IPv6, Alibaba, Oracle's older one, Azure's wire server.
            *("fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
            # Translated to whichever address of IPv4, by rules of the network's own (RFC 8215).
            "64:ff9b:1::/48",
        ),
    )
)
_METADATA_NAMES = frozenset(
    (
        *("metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"),
        *("metadata.tencentyun.com", "metadata.platformequinix.com", "metadata.packet.net", "metadata.azure.internal"),
    )
)
# What ends with an address of IPv4 that it is translated to: NAT64, SIIT.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"))


class Forbidden(InvalidIPAddress):
    """An address that may not be asked."""


@dataclass(frozen=True)
class Networks:
    """Where one may go: to ``allowed``; with nothing there, to private networks, and to public ones by a name."""

    allowed: Sequence[Network] = ()

    def choose(self, host: str, port: int) -> str:
        """An address of ``host`` that may be asked.

        Raises:
            Forbidden: there is none.
            OSError: nobody has this name.
        """
        found = _looked_up(host, port)
        by_name = _literal(host) is None
        for address in found:
            if self._fits(address, by_name=by_name):
                return str(address)
        raise Forbidden(f"{host} is where nobody is sent (SERVICE_NETWORKS).")

    def check(self, url: str) -> None:
        """Makes sure, as far as it can be told now, that ``url`` may be asked; a name may lead elsewhere later.

        Raises:
            BadInput: it is no URL of http or https, or leads where nobody is sent.
        """
        host = _host(url)
        literal = _literal(host.rstrip("."))
        metadata = f"url: {host} is a cloud's metadata service, which is never asked."
        if host.rstrip(".").lower() in _METADATA_NAMES:
            raise BadInput(metadata, code="forbidden_address")
        if literal is not None:
            found = [literal]
        else:
            try:
                found = _looked_up(host, 80)
            except (OSError, UnicodeError):
                # Whoever is not there yet may be so later.
                return
        if any(_is_metadata(address) for address in found):
            raise BadInput(metadata, code="forbidden_address")
        if not any(self._fits(address, by_name=literal is None) for address in found):
            raise BadInput(f"url: {host} is in none of SERVICE_NETWORKS.", code="forbidden_address")

    def _fits(self, address: Address, *, by_name: bool) -> bool:
        if _is_metadata(address) or address.is_multicast or address.is_unspecified:
            return False
        plain = list(_embedded(address))[-1]
        if self.allowed:
            return any(plain in network for network in self.allowed)
        return any(plain in network for network in _PRIVATE) or (by_name and plain.is_global)


def _host(url: str) -> str:
    """The host of ``url``.

    Raises:
        BadInput: it is no URL that can be asked.
    """
    shown = repr(url if len(url) <= 100 else f"{url[:100]}…")
    try:
        parts = urlsplit(requests.Request("GET", url).prepare().url or "")
        # Nobody reads a backslash like the next, and of a port 0 requests makes none.
        usable = urlsplit(url).port != 0 and "\\" not in url
    except (requests.RequestException, ValueError):
        raise BadInput(f"url: {shown} is no URL.", code="bad_url") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not usable or len(url) > MAX_URL_CHARACTERS:
        raise BadInput(f"url: {shown} is no URL of http or https.", code="bad_url")
    if "@" in parts.netloc:
        raise BadInput("url: it holds a credential; that is what api_key is for.", code="bad_url")
    if parts.query or parts.fragment:
        raise BadInput("url: it holds a query or a fragment; it names where the service is.", code="bad_url")
    return parts.hostname


def _looked_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]


def _literal(host: str) -> Address | None:
    """The address that ``host`` spells, in whichever way the system reads one (hexadecimal, octal, one number)."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])


def _embedded(address: Address) -> Iterator[Address]:
    """The address, and the one of IPv4 that it leads to, where it does (RFC 4291, 6052, 3056, 4380)."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        ends_with_it = any(address in network for network in _TRANSLATED) or (
            int(address) >> 32 == 0 and int(address) > 1
        )
        if inner is None and ends_with_it:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            yield inner


def _is_metadata(address: Address) -> bool:
    return any(each in network for each in _embedded(address) for network in _METADATA)
