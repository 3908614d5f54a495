"""The options of a fine-tuning: what the document shows is valid, what is out of bounds is named."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from workers.errors import BadInput
from workers.llm import plan as plans
from workers.llm.config import Config

DOCUMENT = Path(__file__).parents[3] / "docs" / "contracts" / "gateway.md"


def test_the_documents_own_example_is_what_is_taken_without_being_told() -> None:
    shown = re.search(r'"config": (\{[^}]*\})', DOCUMENT.read_text())
    assert shown is not None
    given = json.loads(shown[1])
    assert Config.of(given) == Config()
    assert {name: getattr(Config(), name) for name in given} == given


@pytest.mark.parametrize("option", fields(Config), ids=lambda option: option.name)
def test_every_option_says_what_it_is_and_its_default_is_allowed(option: Any) -> None:
    assert option.metadata["says"]
    default = list(option.default) if isinstance(option.default, tuple) else option.default
    assert getattr(Config.of({option.name: default}), option.name) == option.default


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_epochs": 0}, "num_epochs 0 is outside 1 to 1000"),
        ({"num_epochs": 2.5}, "num_epochs 2.5 is no whole number"),
        ({"learning_rate": "fast"}, "learning_rate 'fast' is no number"),
        ({"learning_rate": True}, "learning_rate True is no number"),
        ({"learning_rate": float("nan")}, "learning_rate nan is outside"),
        ({"batch_size": float("inf")}, "batch_size inf"),
        ({"quantization": "8bit"}, "quantization '8bit' is none of none, 4bit"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing 1 is neither true nor false"),
        ({"target_modules": []}, "target_modules [] is no list of names"),
        ({"target_modules": [1]}, "target_modules [1] is no list of names"),
        ({"lora_rank": 8}, "there is no option 'lora_rank'"),
    ],
)
def test_what_is_out_of_bounds_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Config.of(given)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    config = Config.of({"num_epochs": 2.0, "learning_rate": 1e-3, "target_modules": "all-linear"})
    assert (config.num_epochs, type(config.num_epochs)) == (2, int)
    assert config.modules == "all-linear"


def test_a_plan_with_a_bad_option_is_refused_with_its_name(tmp_path: Path) -> None:
    told = {"name": "n", "base_model": {"id": "b", "path": "b"}, "config": {"num_epochs": -1}}
    (tmp_path / plans.FILE).write_text(json.dumps(told))
    with pytest.raises(BadInput, match="num_epochs -1") as caught:
        plans.read(tmp_path)
    assert caught.value.code == "bad_config"
