"""What a model answers to prompts, word for word, so that before and after can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from workers.llm.dataset import Example

# An answer may be half as long again as the longest that is expected, and never longer than this.
_LONGER, _AT_MOST = 1.5, 512
_AT_ONCE = 8


def answers(
    model: Any, tokenizer: Any, examples: Sequence[Example], tell: Callable[[float], None] = lambda share: None
) -> list[str]:
    """The model's own answers to the examples' questions, each its likeliest."""
    model.eval()
    found: list[str] = []
    longest = max((len(each.ids) - each.prompt_tokens for each in examples), default=0)
    budget = min(_AT_MOST, round(longest * _LONGER) + 8)
    stops = _stops(model, tokenizer, examples)
    for at in range(0, len(examples), _AT_ONCE):
        tell(at / len(examples))
        found += _answered(model, tokenizer, examples[at : at + _AT_ONCE], budget, stops)
    return found


def expected(tokenizer: Any, example: Example) -> str:
    """The answer that is to be learned, as ``answers`` would write it."""
    text: str = tokenizer.decode(example.ids[example.prompt_tokens :], skip_special_tokens=True)
    return text.strip()


def _answered(model: Any, tokenizer: Any, examples: Sequence[Example], budget: int, stops: list[int]) -> list[str]:
    asked = [each.ids[: each.prompt_tokens] for each in examples]
    width = max(len(ids) for ids in asked)
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ids = torch.tensor([[padding] * (width - len(each)) + list(each) for each in asked], device=model.device)
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in asked], device=model.device)
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=budget,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            eos_token_id=stops or None,
            pad_token_id=padding,
        )
    return [tokenizer.decode(row[width:], skip_special_tokens=True).strip() for row in made]


def _stops(model: Any, tokenizer: Any, examples: Sequence[Example]) -> list[int]:
    """What ends an answer: what the model says, what the tokenizer says, and what the template writes there."""
    told = model.generation_config.eos_token_id
    stops = set(told if isinstance(told, list) else [told])
    stops.add(tokenizer.eos_token_id)
    special = set(tokenizer.all_special_ids)
    for each in examples:
        ends = [token for token in each.ids[each.prompt_tokens :] if token in special]
        stops.update(ends[-1:])
    return sorted(stop for stop in stops if stop is not None)
