"""A GGUF file as a folder: ``python -m workers.llm.unpacking [--tokens] FILE FOLDER``.

With ``--tokens`` the tokenizer and the chat template alone, which need neither the weights nor their memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# The order matters: transformers imports torchaudio.
from workers import plain_torchaudio  # noqa: F401  # isort: skip

import torch
import transformers

from workers.llm.loading import drafted_folder


def tokens(gguf: Path, target: Path) -> None:
    """Writes the tokenizer and the chat template."""
    with drafted_folder(target) as draft:
        _tokenizer(gguf).save_pretrained(draft)


def unpack(gguf: Path, target: Path) -> None:
    """Writes what transformers, peft and everybody else reads: weights in 16 bits, tokenizer, template."""
    tokenizer = _tokenizer(gguf)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    # It calls itself packed still, and would not be trained.
    for name in ("hf_quantizer", "quantization_method", "quantization_config"):
        for holder in (model, model.config):
            if name in vars(holder):
                delattr(holder, name)
    model.is_quantized = False
    with drafted_folder(target) as draft:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def _tokenizer(gguf: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)


if __name__ == "__main__":
    write = tokens if sys.argv[1] == "--tokens" else unpack
    write(Path(sys.argv[-2]), Path(sys.argv[-1]))
