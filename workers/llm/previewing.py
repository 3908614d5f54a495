"""The previewing process: ``python -m workers.llm.previewing FOLDER`` says what a fine-tuning would learn from.

``plan.json`` and ``rows.jsonl`` are those of the fine-tuning; ``preview.json`` of ``out`` has what is shown of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from workers.errors import BadInput
from workers.llm import bases, dataset, gguf
from workers.llm import plan as plans
from workers.llm.dataset import Example, FileTokens
from workers.llm.examples import examples
from workers.llm.plan import BaseModel
from workers.llm.process import alone, main
from workers.llm.templates import ChatTemplate
from workers.saying import Voice

# Texts that are shown whole; the figures are of all.
SHOWN_AT_MOST = 20


def _preview(folder: Path, voice: Voice) -> None:
    voice.progress("Rendering", 0.0)
    plan, rows = plans.read(folder), plans.read_rows(folder)
    alone(plan.threads, downloads=False)
    try:
        home = _home(plan.base_model)
        tokens = FileTokens(home)
    except ModuleNotFoundError as fault:
        message = f"Nobody here knows the base model's tokens: {fault.name} is not installed (make train)."
        raise BadInput(message, code="training_unavailable") from None
    template = ChatTemplate.of_folder(home)
    texts = [dataset.rendered(row, template) for row in rows]
    base = bases.describe(plan.base_model.path, plan.base_model.id)
    known = examples(texts, tokens, template, base, plan)
    learned = known.learned
    by_id = {each.rendered.prompt_id: each for each in (*learned.train, *learned.held_out)}
    held_out = {each.rendered.prompt_id for each in learned.held_out}
    prompts = [
        shown(by_id[text.prompt_id], held_out=text.prompt_id in held_out)
        for text in texts[:SHOWN_AT_MOST]
        if text.prompt_id in by_id
    ]
    draft = folder / "out.part"
    draft.mkdir(exist_ok=True)
    told = {"prompts": prompts, "data_stats": known.stats, "warnings": known.warnings}
    (draft / "preview.json").write_text(json.dumps(told), encoding="utf-8")
    draft.rename(folder / "out")


def shown(example: Example, *, held_out: bool = False) -> dict[str, Any]:
    """An example as people see it; ``learned`` is the end of ``text``."""
    text = example.rendered
    return {
        "prompt_id": text.prompt_id,
        "text": text.prompt + text.completion,
        "learned": text.completion,
        "tokens": example.tokens_before,
        "prompt_tokens": example.prompt_tokens,
        "truncated": example.truncated,
        "held_out": held_out,
    }


def _home(base: BaseModel) -> Path:
    """The folder with the base model's tokenizer and chat template."""
    if base.format == "hub" and not (base.path / "config.json").exists():
        message = f"The base model {base.id!r} is downloaded by its first session; nobody knows its tokens yet."
        raise BadInput(message, code="base_model_unavailable")
    return gguf.tokens(base) if base.format == "gguf" else base.path


if __name__ == "__main__":
    sys.exit(main(_preview, exhausted_by="The memory does not suffice for the base model's tokens."))
