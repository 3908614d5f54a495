"""The examples as the base model reads them: their exact text, their tokens, what is cut off, which are held out.

Needs tokenizers and jinja2, no torch, so that what is shown before a training is what is trained.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from workers.clients.whole_files import write_whole
from workers.errors import BadInput
from workers.llm.plan import Row
from workers.llm.templates import ChatTemplate

# Fewer leave nothing to learn from or nothing to judge by.
HELD_OUT_FROM_ROWS = 5
# What is not learned from, in labels (torch's own number for it).
IGNORED = -100


class Tokens(Protocol):
    """What turns text into tokens."""

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, and none besides."""
        ...


@dataclass(frozen=True)
class Rendered:
    """One example as text: what the model is given, and what it learns to answer."""

    prompt_id: int | str
    prompt: str
    completion: str


@dataclass(frozen=True)
class Example:
    """One example in tokens; only those from ``prompt_tokens`` on are learned.

    Attributes:
        tokens_before: How many there were before what is too long was cut off.
    """

    rendered: Rendered
    ids: tuple[int, ...]
    prompt_tokens: int
    tokens_before: int

    @property
    def truncated(self) -> bool:
        """Whether some of it is not learned."""
        return len(self.ids) < self.tokens_before

    @property
    def labels(self) -> list[int]:
        """What is learned at each place."""
        return [IGNORED] * self.prompt_tokens + list(self.ids[self.prompt_tokens :])


class FileTokens:
    """The tokens of a base model's folder, by its ``tokenizer.json``."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, and none besides."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def rendered(row: Row, template: ChatTemplate) -> Rendered:
    """An example's text.

    Raises:
        BadInput: the template does not take its messages; the text names the prompt.
    """
    try:
        asked = template.text(row.messages[:-1], asks=True)
        whole = template.text(row.messages)
    except BadInput as fault:
        raise BadInput(f"Prompt {row.prompt_id}: {fault.message}", code=fault.code) from None
    # Some templates write the question differently once there is an answer; what both have in common is the question.
    same = next((at for at, pair in enumerate(zip(asked, whole, strict=False)) if pair[0] != pair[1]), len(asked))
    prompt = asked[:same]
    if not whole[len(prompt) :].strip():
        raise BadInput(f"Prompt {row.prompt_id}: the chat template leaves nothing to learn.", code="template_refused")
    return Rendered(row.prompt_id, prompt, whole[len(prompt) :])


def tokenized(text: Rendered, tokens: Tokens, max_tokens: int) -> Example:
    """An example in tokens, at most ``max_tokens`` of them."""
    asked = tokens.ids(text.prompt)
    whole = tokens.ids(text.prompt + text.completion)
    # Whoever asks later has the question's tokens alone: the answer must go on from exactly these.
    if whole[: len(asked)] != asked:
        whole = asked + tokens.ids(text.completion)
    return Example(text, tuple(whole[:max_tokens]), min(len(asked), max_tokens), len(whole))


def sha256(texts: Sequence[Rendered]) -> str:
    """What tells one rendered set of examples from another."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text.prompt_id, text.prompt, text.completion]).encode() + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """All that is learned from and judged by."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    unlearnable: tuple[int | str, ...]
    sha256: str

    @property
    def truncated(self) -> list[int | str]:
        """The prompts of which the end is cut off."""
        return [each.rendered.prompt_id for each in (*self.train, *self.held_out) if each.truncated]

    @property
    def stats(self) -> dict[str, Any]:
        """The figures that are told of it."""
        both = (*self.train, *self.held_out)
        return {
            "rows": len(both) + len(self.unlearnable),
            "train_rows": len(self.train),
            "eval_rows": len(self.held_out),
            "tokens": sum(len(each.ids) for each in both),
            "learned_tokens": sum(len(each.ids) - each.prompt_tokens for each in both),
            "longest_tokens": max((len(each.ids) for each in both), default=0),
            "truncated_rows": len(self.truncated),
            "unlearnable_rows": len(self.unlearnable),
            "dataset_sha256": self.sha256,
        }


def dataset(texts: Sequence[Rendered], tokens: Tokens, *, max_tokens: int, eval_share: float, seed: int) -> Dataset:
    """The examples in tokens, some of them held out.

    Raises:
        BadInput: all questions alone are longer than ``max_tokens``.
    """
    examples = [tokenized(text, tokens, max_tokens) for text in texts]
    usable = [each for each in examples if len(each.ids) > each.prompt_tokens]
    if not usable:
        message = f"Every prompt is longer than {max_tokens} tokens (max_seq_length) before its answer begins."
        raise BadInput(message, code="rows_too_long")
    held: set[int] = set()
    if eval_share > 0 and len(usable) >= HELD_OUT_FROM_ROWS:
        count = max(1, round(eval_share * len(usable)))
        held = set(random.Random(seed).sample(range(len(usable)), count))
    return Dataset(
        train=tuple(each for place, each in enumerate(usable) if place not in held),
        held_out=tuple(each for place, each in enumerate(usable) if place in held),
        unlearnable=tuple(each.rendered.prompt_id for each in examples if len(each.ids) <= each.prompt_tokens),
        sha256=sha256(texts),
    )


def write_frozen(path: Path, texts: Sequence[Rendered]) -> None:
    """Keeps the texts: a template may write today's date, and tomorrow the training goes on."""
    write_whole(path, "".join(json.dumps(asdict(text)) + "\n" for text in texts))


def read_frozen(path: Path) -> list[Rendered]:
    """The texts that were kept."""
    return [Rendered(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
