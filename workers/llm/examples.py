"""What is learned from, as it is known before anything is: the texts in tokens, what is told of them, what to warn of.

Needs tokenizers and jinja2, no torch: shown before a training, it is what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workers.llm import dataset, sizing
from workers.llm.bases import Base
from workers.llm.dataset import Dataset, Rendered, Tokens
from workers.llm.plan import Plan
from workers.llm.templates import ChatTemplate

_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Examples:
    """The examples, their figures with the steps and the memory that they will take, and warnings."""

    learned: Dataset
    stats: dict[str, Any]
    warnings: tuple[str, ...]


def examples(texts: Sequence[Rendered], tokens: Tokens, template: ChatTemplate, base: Base, plan: Plan) -> Examples:
    """The texts in tokens.

    Raises:
        BadInput: none of them can be learned from.
    """
    config = plan.config
    longest = min(config.max_seq_length, base.context_tokens or config.max_seq_length)
    learned = dataset.dataset(texts, tokens, max_tokens=longest, eval_share=config.eval_share, seed=plan.seed)
    stats = learned.stats
    memory = sizing.memory_bytes(base, config, longest_tokens=stats["longest_tokens"], device=plan.device)
    known = {"steps": sizing.steps(len(learned.train), config), "memory_estimate_bytes": memory}
    return Examples(learned, stats | known, tuple(_warnings(learned, template, base, plan, longest)))


def _warnings(learned: Dataset, template: ChatTemplate, base: Base, plan: Plan, longest: int) -> Iterator[str]:
    if template.is_plain:
        yield f"{base.id} has no chat template; a plain one is used, and goes with the adapter."
    if plan.config.early_stopping_patience and not learned.held_out:
        yield "early_stopping_patience has no effect: no prompts are held out to judge by."
    if cut := learned.truncated:
        yield f"{len(cut)} prompts are longer than {longest} tokens and lose their end: {_named(cut)}."
    if left := learned.unlearnable:
        what = f"{len(left)} prompts are left out"
        yield f"{what}, longer than {longest} tokens before their answer begins: {_named(left)}."


def _named(ids: Sequence[int | str]) -> str:
    shown = ", ".join(str(each) for each in ids[:_NAMED_AT_MOST])
    return shown + (" and others" if len(ids) > _NAMED_AT_MOST else "")
