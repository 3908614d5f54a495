"""A base model in memory, whole or in 4 bits; a GGUF file is unpacked into a folder once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The order matters: transformers imports torchaudio.
from workers import plain_torchaudio  # noqa: F401  # isort: skip

import torch
import transformers

from workers.errors import BadInput
from workers.llm import bases, gguf
from workers.llm.config import quantization_available
from workers.llm.plan import BaseModel

transformers.utils.logging.disable_progress_bar()


def folder_of(base: BaseModel) -> Path:
    """The folder with the base model's weights and tokenizer, made first where it is a GGUF file or not here yet.

    Raises:
        BadInput: there is none, or it is not the one that was meant.
    """
    if base.format == "hub":
        return base.path if (base.path / "config.json").exists() else _downloaded(base.id, base.path)
    if not base.path.exists():
        raise BadInput(f"The base model {base.id!r} is not at hand any more.", code="base_model_unavailable")
    if base.sha256 and bases.sha256(base.path) != base.sha256:
        message = f"The files of the base model {base.id!r} are not those that were chosen: their hash differs."
        raise BadInput(message, code="base_model_changed")
    if base.format == "folder":
        return base.path
    return gguf.unpacked(base)


def _downloaded(hub_id: str, target: Path) -> Path:
    """A base model from the hub; whether that is permitted was asked before."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    wanted = ["*.json", "*.jinja", "*.safetensors", "tokenizer.model", "README.md", "LICENSE*"]
    with drafted_folder(target) as draft:
        try:
            snapshot_download(hub_id, local_dir=draft, allow_patterns=wanted)
        except (HfHubHTTPError, OfflineModeIsEnabled) as fault:
            message = f"The base model {hub_id!r} cannot be downloaded: {str(fault).splitlines()[0]}"
            raise BadInput(message, code="base_model_unavailable") from None
        shutil.rmtree(draft / ".cache", ignore_errors=True)
        bases.describe(draft, hub_id)
    return target


@contextmanager
def drafted_folder(target: Path) -> Iterator[Path]:
    """Where to write what becomes the folder ``target`` at the end; nothing is left of it if that fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    # What a killed process left behind under its number may be this one's now.
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        # Another process may have been faster.
        with suppress(OSError):
            draft.rename(target)
        if not target.exists():
            raise OSError(f"{target} cannot be written")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


# --- In memory --------------------------------------------------------------------------------------------------------


class ModelTokens:
    """The tokens of a loaded tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, and none besides."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def tokenizer(folder: Path) -> Any:
    """The tokenizer of a base model's folder."""
    found = transformers.AutoTokenizer.from_pretrained(folder)
    if found.pad_token is None:
        found.pad_token = found.eos_token
    return found


def model(folder: Path, *, device: str, quantization: str) -> Any:
    """The base model: 32 bits on processors, 16 on GPUs, or in 4 bits.

    Raises:
        BadInput: 4 bits are wanted, and there is no bitsandbytes.
    """
    described = bases.describe(folder, folder.name)
    how: dict[str, Any] = {}
    on_gpu = device.startswith("cuda")
    dtype = torch.bfloat16 if on_gpu else torch.float32
    if "4bit" in (quantization, described.quantized):
        if not quantization_available():
            message = "4-bit base models need bitsandbytes, which is not installed here (make gpu)."
            raise BadInput(message, code="quantization_unavailable")
        how["device_map"] = {"": device if on_gpu else "cpu"}
        if described.quantized is None:
            how["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
    found = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **how)
    return found if how or not on_gpu else found.to(device)
