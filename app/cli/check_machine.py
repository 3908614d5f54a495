"""What ``doctor`` looks at on the machine itself: Python, disk, key, engines, GPUs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.cli.output import Finding
from config import voices
from config.settings import Settings

_ROOT = Path(__file__).parents[2]
_OLDEST = (3, 11)
_GIB = 2**30
# Engines load within seconds; one that takes minutes hangs.
_PROBE_SECONDS = 120.0
# The database, its log and files in the making want a gigabyte beside what the cache still grows by.
_TIGHT_BYTES, _FULL_BYTES = 2 * _GIB, _GIB // 4
# What whoever guesses a key by trial cannot get through.
_KEY_CHARACTERS = 32


def python() -> Finding:
    """Whether this Python is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST:
        return Finding("fail", "Python", f"{found} is too old", "install 3.11 or newer, then `make clean run`")
    return Finding("ok", "Python", found)


def data_folder(configured: Settings) -> Iterator[Finding]:
    """Whether VAR_DIR can be written, and how much fits."""
    folder = configured.var_dir
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        mend = "give this user the right to, or choose another VAR_DIR"
        yield Finding("fail", "data folder", f"{nearest} cannot be written", mend)
        return
    yield Finding("ok", "data folder", str(folder) if folder.exists() else f"{folder} (made at the first start)")
    # Stored files may lie on a disk of their own.
    files = folder / "files"
    nearest = min((nearest, files) if files.exists() else (nearest,), key=lambda place: shutil.disk_usage(place).free)
    free = shutil.disk_usage(nearest).free
    text = f"{free / _GIB:.1f} GiB free"
    if free < _FULL_BYTES:
        yield Finding("fail", "disk", text, f"make room on the disk of {nearest}: new speech cannot be stored")
    elif free < _TIGHT_BYTES:
        yield Finding("warn", "disk", text, f"make room on the disk of {nearest}, or lower SPEECH_CACHE_MAX_BYTES")
    else:
        yield Finding("ok", "disk", text)


def secret_key(configured: Settings) -> Finding:
    """Whether the key that signs tokens is long, and nobody else's to read."""
    if configured.configured_secret_key:
        if len(configured.configured_secret_key) < _KEY_CHARACTERS:
            mend = "take a longer one: `openssl rand -hex 32`"
            return Finding("warn", "secret key", f"SECRET_KEY has fewer than {_KEY_CHARACTERS} characters", mend)
        return Finding("ok", "secret key", "from SECRET_KEY")
    path = configured.var_dir / "secret.key"
    try:
        found = path.stat()
    except FileNotFoundError:
        return Finding("ok", "secret key", "made at the first start")
    except OSError as fault:
        return Finding("fail", "secret key", f"{path}: {fault.strerror}", "run this as the user whose file it is")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return Finding("fail", "secret key", f"{path} is open to others (mode {mode:04o})", f"chmod 600 {path}")
    if not found.st_size:
        return Finding("fail", "secret key", f"{path} is empty", f"remove {path}; the next start makes a new one")
    return Finding("ok", "secret key", f"{path}, mode {mode:04o}")


@contextmanager
def probing() -> Iterator[Callable[[], list[Finding]]]:
    """Has a process of its own load every engine while other things are checked; what is given tells the outcome."""
    # Importing an engine here would load half a gigabyte, and a crash in one would be ours.
    argv = [sys.executable, "-m", "workers.probe"]
    with subprocess.Popen(argv, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as probe:
        yield lambda: _probed(probe)


def _probed(probe: subprocess.Popen[str]) -> list[Finding]:
    mend = "`python -m workers.probe` shows it in full"
    try:
        said, complaints = probe.communicate(timeout=_PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        probe.kill()
        return [Finding("fail", "engines", f"loading them took more than {_PROBE_SECONDS:.0f} s", mend)]
    if probe.returncode:
        last = (complaints.strip().splitlines() or ["it said nothing"])[-1]
        return [Finding("fail", "engines", f"the probe failed ({probe.returncode}): {last}", mend)]
    # The last line: a library may have greeted before.
    found = json.loads(said.strip().splitlines()[-1])
    return [*(_engine(name, engine) for name, engine in found["engines"].items()), _devices(found)]


def _engine(name: str, engine: dict[str, Any]) -> Finding:
    about = f"engine {name}"
    if engine["available"]:
        return Finding("ok", about, f"{engine['revision']}, {engine['licence']}, loads in {engine['load_seconds']} s")
    needs = voices.catalogue().engines[name].needs
    if not needs:
        mend = "rm -r .venv/stamps, then `make run` installs it again"
        return Finding("fail", about, f"does not load: {engine['reason']}", mend)
    if not engine["installed"]:
        return Finding("ok", about, f"not installed (optional): it needs {needs}")
    return Finding("warn", about, f"does not load: {engine['reason']}", f"optional: it needs {needs}")


def _devices(found: dict[str, Any]) -> Finding:
    gpus = [f"{gpu['name']} ({gpu['memory_bytes'] / _GIB:.0f} GiB)" for gpu in found["gpus"]]
    cores = f"{found['cores']} cores"
    return Finding("ok", "devices", ", ".join([*gpus, cores]) if gpus else f"{cores}, no GPU")
