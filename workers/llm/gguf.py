"""GGUF files as folders that everybody reads: unpacked once, in a process whose memory is free again afterwards."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

from workers.errors import BadInput
from workers.llm import bases
from workers.llm.plan import BaseModel
from workers.llm.process import exhausted

_ROOT = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1
# Looked up here: between fork and exec the look-up could wait for ever for a lock that another thread held.
_prctl = ctypes.CDLL(None).prctl


def unpacked(base: BaseModel) -> Path:
    """The folder with all that the base model's GGUF file holds: weights, tokenizer, chat template.

    Raises:
        BadInput: it cannot be unpacked, or nobody said where to.
        MemoryError: the memory does not suffice.
    """
    return _made(base.path, _folder(base))


def tokens(base: BaseModel) -> Path:
    """A folder with at least the tokenizer and the chat template, sooner than the weights; raises as ``unpacked``."""
    whole = _folder(base)
    return whole if whole.exists() else _made(base.path, whole.with_name(f"{whole.name}.tokens"), "--tokens")


def _folder(base: BaseModel) -> Path:
    if base.cache is None:
        raise BadInput(f"The base model {base.id!r} is a GGUF file, and no cache is named.", code="bad_plan")
    return base.cache / f"{base.id.replace('/', '--')}-{(base.sha256 or bases.sha256(base.path))[:16]}"


def _made(gguf: Path, target: Path, *what: str) -> Path:
    if target.exists():
        return target
    # Apart: it takes as much memory as the training, and a process gives little of it back.
    command = [sys.executable, "-m", "workers.llm.unpacking", *what, str(gguf), str(target)]
    ran = subprocess.run(
        command, cwd=_ROOT, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=_die_with_us
    )
    if ran.returncode != 0:
        sys.stderr.write(ran.stderr)
        last = (ran.stderr.strip().splitlines() or [f"status {ran.returncode}"])[-1]
        if exhausted(RuntimeError(ran.stderr)):
            raise MemoryError(last)
        raise BadInput(f"The GGUF file {gguf.name} cannot be unpacked: {last[:300]}", code="base_model_unreadable")
    return target


def _die_with_us() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
