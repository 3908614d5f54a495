"""The fine-tuning process, whole: from prompts to an adapter that others load; killed, it goes on."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from workers.llm.config import quantization_available


def adapter_of(folder: Path) -> bytes:
    return (folder / "out" / "adapter" / "adapter_model.safetensors").read_bytes()


def until(process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first line that is wanted."""
    assert process.stdout is not None
    for line in process.stdout:
        said: dict[str, Any] = json.loads(line)
        if wanted(said):
            return said
    raise AssertionError("it ended without having said that")


def in_phase(phase: str) -> Callable[[dict[str, Any]], bool]:
    return lambda said: said["type"] == "phase" and said["phase"] == phase


def test_prompts_become_an_adapter_with_its_report(whole: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, lines = whole
    assert lines[0] == {"type": "phase", "phase": "Loading the base model", "progress": 0.0}
    assert lines[-1] == {"type": "done"}
    phases = [line for line in lines if line["type"] == "phase"]
    assert [each["progress"] for each in phases] == sorted(each["progress"] for each in phases)
    names = list(dict.fromkeys(each["phase"] for each in phases))
    assert names == ["Loading the base model", "Rendering", "Evaluating", "Training", "Saving"]
    (data,) = (line["data_stats"] for line in lines if line["type"] == "data")
    assert (data["rows"], data["train_rows"], data["eval_rows"], data["truncated_rows"]) == (12, 10, 2, 0)
    assert data["steps"] == 30
    assert data["memory_estimate_bytes"] > 0
    steps = [line for line in lines if line["type"] == "step"]
    assert (steps[-1]["step"], steps[-1]["max_steps"], steps[-1]["epoch"], steps[-1]["total_epochs"]) == (
        30,
        30,
        10,
        10,
    )
    assert len({step["step"] for step in steps if "eval_loss" in step}) == 10
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["last_loss"] < 0.25 * report["first_loss"]
    assert report["eval_loss"] < 0.5 * report["eval_loss_before"]
    assert [each["step"] for each in report["history"]] == list(range(1, 31))
    assert report["exact_match"]["of"] == len(report["samples"]) == 2
    assert all(sample["held_out"] for sample in report["samples"])
    assert {sample["before"] != sample["after"] for sample in report["samples"]} == {True}
    assert report["peak_memory_bytes"] > 100_000_000
    assert report["base_model"]["licence"] == "apache-2.0"


def test_what_is_left_behind_says_where_it_comes_from_and_nothing_of_this_machine(
    whole: tuple[Path, list[dict[str, Any]]], tiny: Path
) -> None:
    out = whole[0] / "out"
    report = json.loads((out / "report.json").read_text())
    card = (out / "README.md").read_text()
    wanted = [report["data_stats"]["dataset_sha256"], report["base_model"]["sha256"], "| Seed | 3 |", "apache-2.0"]
    assert [text for text in wanted if text not in card] == []
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in (out / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert json.loads((out / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tests/tiny"
    texts = [path.read_text() for path in out.rglob("*") if path.suffix in (".json", ".md", ".jinja")]
    assert [text for text in texts if str(tiny.parent) in text or str(whole[0]) in text] == []


@pytest.mark.slow
def test_others_load_the_adapter_and_the_merged_model_and_get_the_same_tokens(
    whole: tuple[Path, list[dict[str, Any]]], runs: Any, tiny: Path, answer: Callable[..., Any]
) -> None:
    folder = whole[0]
    report = json.loads((folder / "out" / "report.json").read_text())
    asked = [sample["asked"] for sample in report["samples"]]
    adapter = folder / "out" / "adapter"
    tuned = answer(str(tiny), str(adapter), *asked)
    assert tuned != answer(str(tiny), "", *asked)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(adapter / "tokenizer.json"))
    said = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in tuned]
    # Ours stops when it is half as long again as what was expected.
    assert [a.startswith(b["after"]) for a, b in zip(said, report["samples"], strict=True)] == [True, True]

    merging = runs.home / "merging"
    merging.mkdir()
    base = {"id": "tests/tiny", "path": str(tiny), "format": "folder"}
    (merging / "plan.json").write_text(json.dumps({"base_model": base, "adapter": str(adapter), "threads": 1}))
    status, lines = runs.run(merging, "merging")
    assert (status, lines[-1]) == (0, {"type": "done"}), lines
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {
        path.name for path in (merging / "out").iterdir()
    }
    assert answer(str(merging / "out"), "", *asked) == tuned


def test_an_adapter_that_does_not_fit_is_not_merged(
    whole: tuple[Path, list[dict[str, Any]]], runs: Any, tmp_path: Path
) -> None:
    merging = runs.home / "merging"
    merging.mkdir()
    base = {"id": "tests/tiny", "path": str(runs.base), "format": "folder"}
    (merging / "plan.json").write_text(json.dumps({"base_model": base, "adapter": str(tmp_path / "none")}))
    status, lines = runs.run(merging, "merging")
    assert (status, lines[-1]["type"], lines[-1]["code"]) == (1, "failed", "adapter_missing")
    assert not (merging / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["Loading the base model", "Rendering", "Evaluating", "Training", "Saving"])
def test_killed_in_any_phase_it_goes_on_and_ends_as_it_would_have(
    runs: Any, whole: tuple[Path, list[dict[str, Any]]], phase: str
) -> None:
    folder = runs.plan("killed")
    process = runs.start(folder)
    until(process, in_phase(phase))
    process.kill()
    process.wait()
    assert not (folder / "out").exists()
    status, lines = runs.run(folder)
    assert (status, lines[-1]) == (0, {"type": "done"}), lines
    assert adapter_of(folder) == adapter_of(whole[0])
    report, other = (json.loads((each / "out" / "report.json").read_text()) for each in (folder, whole[0]))
    assert report["history"] == other["history"]
    assert report["samples"] == other["samples"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_again_and_again_it_repeats_no_step_and_ends_as_one_that_was_left_alone(runs: Any) -> None:
    # Dropout draws at every step: one with other draws would show. Each epoch has three steps and is judged at its end.
    changes = {"num_epochs": 14, "lora_dropout": 0.2, "samples": 0}
    whole, killed = runs.plan("whole", **changes), runs.plan("killed", **changes)
    assert runs.run(whole)[0] == 0
    plan = json.loads((killed / "plan.json").read_text())
    (killed / "plan.json").write_text(json.dumps(plan | {"checkpoint_seconds": 0}))
    checkpoints = killed / "checkpoints"

    def last() -> int:
        return max([0, *(int(path.parent.name.rpartition("-")[2]) for path in checkpoints.glob("*/whole"))])

    reached = 0
    for _ in range(3):
        process = runs.start(killed)
        assert until(process, lambda said: said["type"] == "step")["step"] == reached + 1
        while last() < reached + 4:
            time.sleep(0.001)
        process.kill()
        process.wait()
        reached = last()
        half = checkpoints / f"checkpoint-{reached + 1}"
        half.mkdir(exist_ok=True)
        (half / "adapter_model.safetensors").write_bytes(b"half")
    status, lines = runs.run(killed)
    assert status == 0, lines
    assert next(line for line in lines if line["type"] == "step")["step"] == reached + 1
    assert adapter_of(killed) == adapter_of(whole)
    reports = [json.loads((each / "out" / "report.json").read_text()) for each in (killed, whole)]
    assert reports[0]["history"] == reports[1]["history"]


@pytest.mark.slow
def test_ended_by_a_signal_it_is_gone_at_once_and_leaves_nothing(runs: Any) -> None:
    folder = runs.plan("ended", num_epochs=1000)
    began = time.monotonic()
    process = runs.start(folder)
    until(process, in_phase("Loading the base model"))
    assert time.monotonic() - began < 5
    until(process, lambda said: said["type"] == "step")
    asked = time.monotonic()
    process.terminate()
    assert process.wait(5) == -signal.SIGTERM
    assert time.monotonic() - asked < 2
    assert not (folder / "out").exists()


@pytest.mark.slow
def test_training_ends_when_held_out_prompts_get_no_better_and_keeps_the_best(runs: Any) -> None:
    # What the held-out prompts say has nothing in common with the rest: learning on makes them worse.
    given = [
        {"messages": [{"role": "user", "content": f"{n * n}"}, {"role": "assistant", "content": f"{n * 7919 % 1009}"}]}
        for n in range(30, 50)
    ]
    folder = runs.plan("early", given, num_epochs=60, early_stopping_patience=2, learning_rate=0.02, samples=0)
    status, lines = runs.run(folder)
    assert status == 0, lines
    report = json.loads((folder / "out" / "report.json").read_text())
    judged = {each["step"]: each["eval_loss"] for each in report["history"] if "eval_loss" in each}
    assert report["stopped_early"]
    assert report["kept_step"] == min(judged, key=lambda step: judged[step])
    assert report["eval_loss"] == min(judged.values())
    assert [step for step in judged if step > report["kept_step"]] == list(judged)[-2:]


@pytest.mark.slow
def test_prompts_that_are_too_long_are_cut_or_left_out_and_named(runs: Any) -> None:
    given = runs.rows()[:7]
    given[3]["messages"][-1]["content"] += " And then" * 60
    given[5]["messages"][0]["content"] += " with many friends" * 60
    folder = runs.plan("long", given, num_epochs=1, max_seq_length=64)
    status, lines = runs.run(folder)
    assert status == 0, lines
    warnings = [line["text"] for line in lines if line["type"] == "warning"]
    assert len(warnings) == 2
    assert "lose their end: 4." in warnings[0]
    assert "answer begins: 6." in warnings[1]
    (data,) = (line["data_stats"] for line in lines if line["type"] == "data")
    assert (data["truncated_rows"], data["unlearnable_rows"], data["longest_tokens"]) == (1, 1, 64)
    assert json.loads((folder / "out" / "report.json").read_text())["warnings"] == warnings


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, "Line 1 of the prompts has no list of messages"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "ends with a message of 'user'"),
        ({"messages": [{"role": "assistant", "content": " "}]}, "ends with an empty answer"),
        ({"messages": [{"content": "Hi"}]}, "without a role"),
    ],
)
def test_a_prompt_that_cannot_be_learned_ends_it_with_a_sentence(runs: Any, row: dict[str, Any], said: str) -> None:
    status, lines = runs.run(runs.plan("bad", [row]))
    assert status == 1
    assert (lines[-1]["type"], lines[-1]["code"]) == ("failed", "bad_row")
    assert said in lines[-1]["message"]


@pytest.mark.slow
def test_layers_that_the_base_model_has_not_are_refused_by_name(runs: Any) -> None:
    status, lines = runs.run(runs.plan("layers", target_modules=["no_such_proj"]))
    assert (status, lines[-1]["type"], lines[-1]["code"]) == (1, "failed", "bad_config")
    assert "no_such_proj" in lines[-1]["message"]


@pytest.mark.slow
@pytest.mark.skipif(quantization_available(), reason="bitsandbytes is installed")
def test_four_bits_without_what_computes_in_them_are_refused_and_nothing_else_is_trained(runs: Any) -> None:
    status, lines = runs.run(runs.plan("packed", quantization="4bit"))
    assert (status, lines[-1]["type"], lines[-1]["code"]) == (1, "failed", "quantization_unavailable")


@pytest.mark.skipif(not quantization_available(), reason="needs bitsandbytes")
def test_a_base_model_in_four_bits_is_trained(runs: Any) -> None:
    status, lines = runs.run(folder := runs.plan("packed", quantization="4bit"))
    assert status == 0, lines
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["last_loss"] < 0.4 * report["first_loss"]


@pytest.mark.slow
def test_a_base_model_that_is_another_than_was_chosen_is_refused(runs: Any) -> None:
    folder = runs.plan("changed")
    told = json.loads((folder / "plan.json").read_text())
    told["base_model"]["sha256"] = "0" * 64
    (folder / "plan.json").write_text(json.dumps(told))
    status, lines = runs.run(folder)
    assert (status, lines[-1]["code"]) == (1, "base_model_changed")


@pytest.mark.slow
def test_memory_that_does_not_suffice_is_told_as_such(runs: Any) -> None:
    folder = runs.plan("large", batch_size=12, lora_r=512, num_epochs=2)
    # Enough to import everything, and a few megabytes besides.
    process = runs.start(folder)
    until(process, in_phase("Rendering"))
    needed = int(next(
        line.split()[1] for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmSize" in line
    )) * 1024  # fmt: skip
    resource.prlimit(process.pid, resource.RLIMIT_AS, (needed + 4_000_000, needed + 4_000_000))
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    assert process.wait(60) == 1, (folder / "err").read_text()[-2000:]
    assert (lines[-1]["type"], lines[-1]["code"]) == ("failed", "out_of_memory")
    assert not (folder / "out").exists()
