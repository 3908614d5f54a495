"""The real small model, from its package: fifty prompts, and it answers what it has never seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from bench.finetune import LEARNED, UNSEEN, answered, asked
from workers.llm import bases, dataset
from workers.llm.dataset import FileTokens
from workers.llm.plan import Row
from workers.llm.templates import ChatTemplate

PACKAGED = bases.packaged_file()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(PACKAGED is None, reason="make train installs the packaged base model"),
]


def test_fifty_prompts_teach_it_to_answer_what_it_has_never_seen(
    runs: Any, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    assert PACKAGED is not None
    given: list[dict[str, Any]] = [
        {
            "prompt_id": number,
            "messages": [{"role": "user", "content": asked(title)}, {"role": "assistant", "content": answered(title)}],
        }
        for number, title in enumerate(LEARNED, 1)
    ]
    folder = runs.plan("real", given)
    told = json.loads((folder / "plan.json").read_text())
    cache = tmp_path / "cache"
    told["base_model"] = {"id": bases.PACKAGED, "path": str(PACKAGED), "format": "gguf", "cache": str(cache)}
    told["config"] = {"num_epochs": 3, "learning_rate": 2e-3, "samples": 2}
    (folder / "plan.json").write_text(json.dumps(told))
    process = runs.start(folder)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, (folder / "err").read_text()[-3000:]
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["last_loss"] < 0.1 * report["first_loss"]
    assert report["peak_memory_bytes"] < 1.6e9
    (data,) = (each["data_stats"] for each in map(json.loads, out.splitlines()) if each["type"] == "data")
    assert 0.8 < data["memory_estimate_bytes"] / report["peak_memory_bytes"] < 1.25
    (home,) = cache.iterdir()
    tuned = answer(str(home), str(folder / "out" / "adapter"), *map(asked, UNSEEN[:4]))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(home)
    said = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in tuned]
    assert said == [answered(title) for title in UNSEEN[:4]]
    # What is shown before a training is what transformers makes of the messages.
    text = dataset.rendered(Row(1, tuple(given[0]["messages"])), ChatTemplate.of_folder(home))
    example = dataset.tokenized(text, FileTokens(home), 1000)
    assert text.prompt + text.completion == tokenizer.apply_chat_template(given[0]["messages"], tokenize=False)
    whole = tokenizer.apply_chat_template(given[0]["messages"], return_dict=False)
    assert list(example.ids) == list(whole)
