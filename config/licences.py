"""``python -m config.licences`` writes ``docs/dependencies.md``: every pinned package, and its licence."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"

_HEAD = """\
# Dependencies

Every package that some part of an installation pins (`requirements/*.txt`), with its licence as the package itself says
it. What stands under several parts is listed at the first. Voiceworks' default install (`make run`) is `run` alone.

Nothing in `run` is under the GPL or the AGPL, but for what the wheel of PyAV (`av`) bundles: itself under the BSD
licence, it has the libraries x264 and x265 (GPL-2.0-or-later) in it. Workers load it, to encode AAC and streams and to
read uploads; the web process never does. espeak-ng (`voices`, `gpu`) and the detectors and voices that tests compare
with (`reference`) are under the GPL, and installed only where somebody asks for them.

This page is written by `python -m config.licences`; tests keep it and the pins together. It keeps what it says of
packages that are not installed where it is written, as long as their versions stay.
"""
PARTS = {
    "run": "`run`: everything that serves, and the default voice",
    "listen": "`listen`: a packaged recogniser",
    "voices": "`voices`: the second neural voice, and espeak-ng's languages",
    "train": "`train`: what trains wake words and language models",
    "base_model": "`base_model`: the packaged language model, a part of `train`",
    "gpu": "`gpu`: what speaks and trains on an NVIDIA GPU",
    "reference": "`reference`: what tests compare with; never a part of an installation",
    "dev": "`dev`: what checks and tests need; never a part of an installation",
}
# What a package does not say of itself, or says wrongly; read in its sources.
_KNOWN = {
    "espeakng-loader": "GPL-3.0-or-later",  # It is espeak-ng's library and data; its own loader is MIT.
}
# Of other platforms and Pythons than those that the page is written on, as their own pages say.
_ELSEWHERE = {
    "async-timeout": "Apache-2.0",
    "audioop-lts": "PSF-2.0",
    "bitsandbytes": "MIT",
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
    "nvidia-ml-py": "BSD-3-Clause",
    "pywin32": "PSF-2.0",
    "standard-aifc": "PSF-2.0",
    "standard-chunk": "PSF-2.0",
    "standard-sunau": "PSF-2.0",
    "tzdata": "Apache-2.0",
}
_PIN = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_ROW = re.compile(r"(?m)^\| ([\w.-]+) \| (\S+) \| (.+) \|$")
Pinned = dict[str, str]


def pins(part: str) -> Pinned:
    """The packages that a part pins, with their versions."""
    return dict(_PIN.findall((ROOT / "requirements" / f"{part}.txt").read_text()))


def rows(page: str) -> dict[tuple[str, str], str]:
    """What a page says: the licence of each version of a package."""
    return {(name, version): licence for name, version, licence in _ROW.findall(page) if name not in ("package", "---")}


def licence(name: str, version: str) -> str | None:
    """What an installed package says of itself, in one line; None where this version is not installed here."""
    try:
        said = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if said["Version"].partition("+")[0] != version:
        return None
    if name in _KNOWN:
        return _KNOWN[name]
    # Three generations of telling it: an expression, the classifiers, a line (or the whole text) by hand.
    classifiers = said.get_all("Classifier") or []
    classified = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    by_hand, expression = ((said.get_all(name) or [""])[0].strip() for name in ("License", "License-Expression"))
    short = by_hand if 0 < len(by_hand) < 60 and "\n" not in by_hand else ""
    return expression or short or ", ".join(each for each in classified if each != "DFSG approved") or "not said"


def is_copyleft(licence: str) -> bool:
    """Whether it is one that covers what it is put together with: GPL or AGPL, not LGPL or MPL."""
    return bool(re.search(r"(?<!L)(?<!Lesser )(GPL|General Public License)", licence.replace("Library", "Lesser")))


def page(known: Mapping[tuple[str, str], str]) -> str:
    """The page, as it should be; of what is not installed here as it is ``known``."""
    return "\n".join([_HEAD, *_tables(known)])


def _tables(known: Mapping[tuple[str, str], str]) -> Iterator[str]:
    listed: set[str] = set()
    for part, title in PARTS.items():
        lines = [f"## {title}\n", "| package | version | licence |", "| --- | --- | --- |"]
        for name, version in sorted(pins(part).items()):
            if name not in listed:
                found = licence(name, version) or known.get((name, version)) or _ELSEWHERE.get(name, "unknown")
                lines.append(f"| {name} | {version} | {found} |")
                listed.add(name)
        yield "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(rows(PAGE.read_text() if PAGE.exists() else "")))
