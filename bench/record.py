"""What a bench measured, as a file: with the commit, the machine, its load and the versions of what was measured."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "results"


def versions_in(home: Path, packages: Sequence[str]) -> dict[str, str]:
    """The versions of packages in another environment."""
    (folder,) = home.glob("lib/python3*/site-packages")
    found = {each.name.lower(): each.version for each in importlib.metadata.distributions(path=[str(folder)])}
    return {package: found[package] for package in packages}


def write(
    figures: dict[str, Any], *, packages: Sequence[str], load_before: tuple[float, float, float], name: str = ""
) -> tuple[dict[str, Any], Path]:
    """The whole result, and the file that it was written to."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    now = datetime.now(UTC)
    result = {
        "commit": commit.stdout.strip() or None,
        "time": now.isoformat(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "load_average_before": load_before,
        "load_average_after": os.getloadavg(),
        **figures,
    }
    path = _FOLDER / f"{name}{now:%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1))
    return result, path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
