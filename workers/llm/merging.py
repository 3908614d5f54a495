"""The merging process: ``python -m workers.llm.merging FOLDER`` makes one model of a base model and an adapter.

``plan.json`` holds ``base_model`` as for a fine-tuning (in full precision), ``adapter`` (a folder, beside which its
``report.json`` may lie), ``dtype``
(``float32``, which answers as base and adapter do, or ``bfloat16``, half as large) and ``threads``. The model is in
``out`` in the end, in safetensors, with its tokenizer.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from workers.errors import BadInput
from workers.llm import card
from workers.llm.plan import FILE, base_of
from workers.llm.process import alone, main
from workers.saying import Voice

_DTYPES = ("float32", "bfloat16")


def _merge(folder: Path, voice: Voice) -> None:
    voice.progress("Loading the base model", 0.0)
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    base = base_of(told["base_model"], folder)
    dtype, adapter = told.get("dtype", "float32"), folder / told["adapter"]
    if dtype not in _DTYPES:
        raise BadInput(f"dtype {dtype!r} is none of {', '.join(_DTYPES)}", code="bad_config")
    if not (adapter / "adapter_config.json").exists():
        raise BadInput("There is no adapter to merge.", code="adapter_missing")
    alone(told.get("threads", 1), downloads=False)
    import torch

    torch.set_num_threads(told.get("threads", 1))
    # The order matters: what loads the model clears the way for peft.
    from workers.llm import bases, loading  # isort: skip
    from peft import PeftModel

    home = loading.folder_of(base)
    if bases.describe(home, base.id).quantized is not None:
        message = f"{base.id!r} is in 4 bits; an adapter is merged onto the same model in full precision."
        raise BadInput(message, code="merge_needs_full_precision")
    model = loading.model(home, device="cpu", quantization="none")
    voice.progress("Merging", 0.4)
    try:
        merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except RuntimeError as fault:
        # Anything else (no memory) is another matter.
        if "size mismatch" not in str(fault):
            raise
        raise BadInput(f"The adapter does not fit {base.id!r}.", code="adapter_mismatch") from None
    voice.progress("Saving", 0.6)
    draft = folder / "out.part"
    shutil.rmtree(draft, ignore_errors=True)
    merged.to(getattr(torch, dtype)).save_pretrained(draft)
    tokenizer = loading.tokenizer(adapter if (adapter / "tokenizer.json").exists() else home)
    # The template within the configuration, where everybody looks for it (Ollama nowhere else).
    tokenizer.save_pretrained(draft, save_jinja_files=False)
    report = adapter.parent / "report.json"
    if report.exists():
        told_of_it = json.loads(report.read_text(encoding="utf-8"))
        (draft / "README.md").write_text(card.card(told_of_it, merged_as=dtype), encoding="utf-8")
    draft.rename(folder / "out")


if __name__ == "__main__":
    sys.exit(main(_merge, exhausted_by="The memory does not suffice for the base model."))
