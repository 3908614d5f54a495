"""Import this before torchaudio, and before anything that imports it (transformers does).

torchaudio's wheel holds compiled functions that need CUDA's libraries, and its import fails where torch was built
without them. All that we use of it also runs in plain torch: there its own switch for "not compiled" is thrown.
"""

from __future__ import annotations

import sys
import types
from typing import NoReturn

import torch


def _no_alignment(*_: object) -> NoReturn:
    raise RuntimeError("torchaudio's forced alignment needs torch with CUDA")


if torch.version.cuda is None and "torchaudio" not in sys.modules:
    _switch = types.ModuleType("torchaudio._extension")
    _switch.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        # A decorator there: what it decorates cannot be called.
        fail_if_no_align=lambda function: _no_alignment,
        _check_cuda_version=lambda: None,
    )
    sys.modules["torchaudio._extension"] = _switch
