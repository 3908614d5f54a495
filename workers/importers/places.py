"""Where the images and links of a page lead: to a file of the course, or to an address."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from workers.importers.outline import Asset

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_KEPT = frozenset(("http", "https", "mailto"))
_LONGEST = 2_000


def assets(found: Iterable[Asset], page: str, names: Collection[str] | None, missing: list[str]) -> list[Asset]:
    """Those that lead somewhere, each once.

    ``page`` is where the page lies: a path in the course, or its address. ``names`` are the files of the course, or
    None if it has none; those that are not among them are added to ``missing``.
    """
    kept: dict[tuple[str, str], Asset] = {}
    for asset in found:
        target = resolved(asset.target, page)
        if target is None:
            continue
        if names is not None and not _ADDRESS.match(target) and target not in names:
            # A page of the course without its ending, or a folder: left as it is if it may be one.
            if asset.kind == "image" or posixpath.splitext(target)[1]:
                missing.append(target)
            continue
        known = kept.get((asset.kind, target))
        if known is None or (asset.text and not known.text):
            kept[asset.kind, target] = Asset(asset.kind, target, asset.text)
    return list(kept.values())


def resolved(target: str, page: str) -> str | None:
    """A target as seen from a page: an address, or a path in the course; None if it leads nowhere we know."""
    target = "".join(target.split("\n")).strip()
    if not target or len(target) > _LONGEST:
        return None
    try:
        if target.startswith("//"):
            target = f"https:{target}"
        if _ADDRESS.match(target):
            return target if urlsplit(target).scheme.lower() in _KEPT else None
        if _ADDRESS.match(page):
            return urljoin(page, target)
        path = unquote(urldefrag(target).url.partition("?")[0])
    except ValueError:
        # "http://[": no address at all.
        return None
    if not path or "\x00" in path:
        return None
    joined = path.lstrip("/") if path.startswith("/") else posixpath.join(posixpath.dirname(page), path)
    normal = posixpath.normpath(joined)
    return None if normal in (".", "..") or normal.startswith(("../", "/")) else normal
