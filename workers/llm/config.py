"""What can be chosen about a fine-tuning: names as the API has them, defaults, bounds. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

QUANTIZATIONS = ("none", "4bit")
SCHEDULES = ("linear", "cosine", "constant")
ALL_LINEAR = "all-linear"
_MODULE_CHARACTERS_MAX = 100
_MODULES_MAX = 50


def quantization_available() -> bool:
    """Whether base models can be loaded in 4 bits here."""
    return importlib.util.find_spec("bitsandbytes") is not None


def _bounded(default: Any, low: float, high: float, says: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "says": says})


def _one_of(default: str, choices: tuple[str, ...], says: str) -> Any:
    return field(default=default, metadata={"choices": choices, "says": says})


@dataclass(frozen=True)
class Config:
    """The options of one fine-tuning.

    Each field's metadata holds ``says`` and, for numbers, ``low`` and ``high``; for words, ``choices``.
    """

    num_epochs: int = _bounded(3, 1, 1000, "How often every prompt is seen, at most")
    learning_rate: float = _bounded(2e-4, 1e-7, 0.1, "Of AdamW, at its highest; small models want about 2e-3")
    batch_size: int = _bounded(4, 1, 512, "Prompts computed at once")
    gradient_accumulation_steps: int = _bounded(1, 1, 1024, "Batches for each step")
    lora_r: int = _bounded(8, 1, 512, "Rank of the adapter: how much it can learn, and how large it is")
    lora_alpha: int = _bounded(16, 1, 2048, "How strongly the adapter acts, as a multiple of 1/lora_r")
    lora_dropout: float = _bounded(0.0, 0.0, 0.9, "Share of the adapter's input that each step leaves out")
    target_modules: tuple[str, ...] = field(
        default=("q_proj", "v_proj"),
        metadata={"says": "The layers that are adapted, by the ends of their names; or the one word 'all-linear'"},
    )
    max_seq_length: int = _bounded(1024, 8, 131_072, "Tokens of a prompt with its answer; what is longer is cut off")
    lr_scheduler: str = _one_of("linear", SCHEDULES, "How the learning rate goes down after the warm-up")
    warmup_ratio: float = _bounded(0.03, 0.0, 0.5, "Share of the steps over which the learning rate goes up")
    weight_decay: float = _bounded(0.0, 0.0, 1.0, "Of AdamW")
    max_grad_norm: float = _bounded(1.0, 0.01, 1000.0, "Longer gradients are shortened to this")
    gradient_checkpointing: bool = field(
        default=False, metadata={"says": "Computes twice what it would have to keep: a third slower, for large models"}
    )
    seed: int = _bounded(1, 0, 2**32 - 1, "The same seed on the same processor gives the same adapter")
    quantization: str = _one_of("none", QUANTIZATIONS, "How the base model lies in memory; 4bit needs bitsandbytes")
    eval_share: float = _bounded(0.1, 0.0, 0.5, "Share of the prompts that is held out to judge by")
    early_stopping_patience: int = _bounded(
        0, 0, 1000, "Epochs without a lower loss on held-out prompts after which training ends; 0 is never"
    )
    samples: int = _bounded(5, 0, 50, "How many prompts, held-out ones first, are answered before and after")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Config:
        """The options with what is given of them.

        Raises:
            ValueError: a name is unknown, or a value is of another type or outside its bounds; the text names it.
        """
        known = {each.name: each for each in fields(cls)}
        checked: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"there is no option {name!r}")
            checked[name] = _checked(name, value, known[name].metadata, known[name].default)
        return cls(**checked)

    @property
    def modules(self) -> str | list[str]:
        """The adapted layers as peft takes them."""
        return ALL_LINEAR if self.target_modules == (ALL_LINEAR,) else list(self.target_modules)


def _checked(name: str, value: Any, about: Mapping[str, Any], default: Any) -> Any:
    if name == "target_modules":
        return _modules(value)
    if "choices" in about:
        if value not in about["choices"]:
            raise ValueError(f"{name} {value!r} is none of {', '.join(about['choices'])}")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} {value!r} is neither true nor false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} {value!r} is no number")
    if not about["low"] <= value <= about["high"]:
        raise ValueError(f"{name} {value} is outside {about['low']:g} to {about['high']:g}")
    if isinstance(default, int) and value != int(value):
        raise ValueError(f"{name} {value!r} is no whole number")
    return type(default)(value)


def _modules(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if (
        not isinstance(names, list | tuple)
        or not 0 < len(names) <= _MODULES_MAX
        or not all(isinstance(name, str) and 0 < len(name) <= _MODULE_CHARACTERS_MAX for name in names)
    ):
        raise ValueError(f"target_modules {value!r} is no list of names")
    return tuple(dict.fromkeys(names))
