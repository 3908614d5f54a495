"""The previewing process: what it shows is what a fine-tuning of the same folder learns from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers")

from workers.llm import dataset, plan
from workers.llm.previewing import SHOWN_AT_MOST
from workers.llm.templates import ChatTemplate


def shown(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "preview.json").read_text())
    return found


def test_the_preview_is_what_is_trained(whole: tuple[Path, list[dict[str, Any]]], runs: Any) -> None:
    trained, lines = whole
    (data,) = (line["data_stats"] for line in lines if line["type"] == "data")
    folder = runs.plan("preview")
    status, said = runs.run(folder, "previewing")
    assert (status, said[-1]) == (0, {"type": "done"}), said
    found = shown(folder)
    assert found["data_stats"] == data
    report = json.loads((trained / "out" / "report.json").read_text())
    assert found["warnings"] == report["warnings"]
    rows = plan.read_rows(folder)
    template = ChatTemplate.of_folder(runs.base)
    for each, row in zip(found["prompts"], rows, strict=True):
        text = dataset.rendered(row, template)
        assert (each["text"], each["learned"]) == (text.prompt + text.completion, text.completion)
        assert each["tokens"] > each["prompt_tokens"] > 0
        assert each["truncated"] is False
    assert sum(each["held_out"] for each in found["prompts"]) == data["eval_rows"]
    assert sum(each["tokens"] for each in found["prompts"]) == data["tokens"]


@pytest.mark.slow
def test_of_many_prompts_some_are_shown_and_all_are_counted(runs: Any) -> None:
    given = [{**runs.rows()[0], "prompt_id": number} for number in range(1, 101)]
    folder = runs.plan("many", given)
    assert runs.run(folder, "previewing")[0] == 0
    found = shown(folder)
    assert [each["prompt_id"] for each in found["prompts"]] == list(range(1, SHOWN_AT_MOST + 1))
    assert found["data_stats"]["rows"] == 100


@pytest.mark.slow
def test_prompts_that_are_too_long_are_shown_as_cut_off(runs: Any) -> None:
    folder = runs.plan("long", max_seq_length=32)
    assert runs.run(folder, "previewing")[0] == 0
    found = shown(folder)
    assert any(each["truncated"] for each in found["prompts"])
    assert "lose their end" in found["warnings"][0]


def test_what_cannot_be_previewed_is_said_in_a_sentence(runs: Any) -> None:
    folder = runs.plan("hub")
    told = json.loads((folder / "plan.json").read_text())
    told["base_model"] = {"id": "owner/name", "path": str(folder / "none"), "format": "hub"}
    (folder / "plan.json").write_text(json.dumps(told))
    status, said = runs.run(folder, "previewing")
    assert (status, said[-1]["code"]) == (1, "base_model_unavailable")
    assert "owner/name" in said[-1]["message"]
