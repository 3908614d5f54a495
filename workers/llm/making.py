"""An adapter from its plan: every phase of a fine-tuning, in order."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch

from workers.clients.whole_files import write_whole
from workers.llm import bases, card, dataset, loading, sampling
from workers.llm.course import Step
from workers.llm.dataset import Dataset, Example, Rendered
from workers.llm.examples import examples
from workers.llm.plan import Plan, Row
from workers.llm.templates import ChatTemplate
from workers.llm.training import Trained, Training

# Where each phase begins on the bar. What is asked of the base model first is part of "Evaluating" as well.
LOADING, RENDERING, EVALUATING, TRAINING, SAVING = (
    "Loading the base model",
    "Rendering",
    "Evaluating",
    "Training",
    "Saving",
)
_LOADED, _RENDERED, _ASKED, _TRAINED, _JUDGED = 0.1, 0.12, 0.16, 0.9, 0.97


class Making:
    """One fine-tuning; what it makes lies in ``out`` of its folder in the end, with ``report.json``."""

    def __init__(
        self,
        plan: Plan,
        rows: list[Row],
        folder: Path,
        *,
        progress: Callable[[str, float], None],
        data: Callable[[dict[str, Any]], None],
        step: Callable[[Step], None],
        warning: Callable[[str], None],
    ) -> None:
        self._plan, self._rows, self._folder = plan, rows, folder
        self._progress, self._data, self._step = progress, data, step
        self._tell_warning = warning
        self._warnings: list[str] = []

    def run(self) -> None:
        """Every phase.

        Raises:
            WorkError: the base model or the prompts cannot be used, or the training fails for good.
        """
        self._progress(LOADING, 0.0)
        home = loading.folder_of(self._plan.base_model)
        base = bases.describe(home, self._plan.base_model.id)
        model = loading.model(home, device=self._plan.device, quantization=self._plan.config.quantization)
        tokenizer = loading.tokenizer(home)

        self._progress(RENDERING, _LOADED)
        template = ChatTemplate.of_folder(home)
        if template.is_plain:
            tokenizer.chat_template = template.source
        known = examples(self._texts(template), loading.ModelTokens(tokenizer), template, base, self._plan)
        for text in known.warnings:
            self._warn(text)
        self._data(known.stats)

        learned = known.learned
        asked = [*learned.held_out, *learned.train][: self._plan.config.samples]
        self._progress(EVALUATING, _RENDERED)
        before = self._before(model, tokenizer, asked)
        training = Training(model, tokenizer, self._plan, learned, self._folder)
        del model
        self._progress(TRAINING, _ASKED)
        trained = training.run(self._stepped)

        self._progress(EVALUATING, _TRAINED)
        after = sampling.answers(training.model, tokenizer, asked, self._telling(_TRAINED, _JUDGED))
        samples = [self._sample(tokenizer, *each, learned) for each in zip(asked, before, after, strict=True)]

        self._progress(SAVING, _JUDGED)
        report = self._report(base, known.stats, trained, samples)
        self._save(training, tokenizer, report)

    # --- Rendering ----------------------------------------------------------------------------------------------------

    def _texts(self, template: ChatTemplate) -> list[Rendered]:
        """The examples' texts, which stay what they were at the first try."""
        frozen = self._folder / "rendered.jsonl"
        if not frozen.exists():
            dataset.write_frozen(frozen, [dataset.rendered(row, template) for row in self._rows])
        return dataset.read_frozen(frozen)

    # --- Judging ------------------------------------------------------------------------------------------------------

    def _before(self, model: Any, tokenizer: Any, asked: list[Example]) -> list[str]:
        """What the base model answers; asked once, however often the process begins again."""
        path = self._folder / "before.json"
        if not path.exists():
            answers = sampling.answers(model, tokenizer, asked, self._telling(_RENDERED, _ASKED))
            write_whole(path, json.dumps(answers))
        return list(json.loads(path.read_text(encoding="utf-8")))

    def _sample(self, tokenizer: Any, example: Example, before: str, after: str, learned: Dataset) -> dict[str, Any]:
        expected = sampling.expected(tokenizer, example)
        row = next(row for row in self._rows if row.prompt_id == example.rendered.prompt_id)
        said = [message for message in row.messages if message["role"] == "user"] or row.messages[:1]
        return {
            "prompt_id": example.rendered.prompt_id,
            "asked": said[-1].get("content") or "",
            "held_out": example in learned.held_out,
            "expected": expected,
            "before": before,
            "after": after,
            "match_before": before == expected,
            "match_after": after == expected,
        }

    # --- What is told -------------------------------------------------------------------------------------------------

    def _stepped(self, step: Step) -> None:
        self._progress(TRAINING, _ASKED + (_TRAINED - _ASKED) * step.step / step.max_steps)
        self._step(step)

    def _telling(self, begin: float, end: float) -> Callable[[float], None]:
        return lambda share: self._progress(EVALUATING, begin + (end - begin) * share)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._tell_warning(text)

    def _report(
        self,
        base: bases.Base,
        stats: dict[str, Any],
        trained: Trained,
        samples: list[dict[str, Any]],
    ) -> dict[str, Any]:
        plan = self._plan
        asked = plan.base_model
        # What is unpacked from a GGUF file has no card; the file itself says.
        told = bases.describe(asked.path, asked.id) if asked.format == "gguf" else base
        return {
            "name": plan.name,
            "base_model": {
                "id": asked.id,
                "format": asked.format,
                "sha256": asked.sha256 or bases.sha256(base.path if asked.format == "hub" else asked.path),
                "licence": asked.licence or told.licence,
                "parameters": base.parameters,
            },
            "config": asdict(plan.config),
            "seed": plan.seed,
            "device": plan.device,
            "threads": plan.threads,
            "data_stats": stats,
            "history": trained.history,
            "first_loss": trained.history[0]["loss"],
            "last_loss": trained.history[-1]["loss"],
            "eval_loss_before": trained.eval_loss_before,
            "eval_loss": trained.eval_loss,
            "exact_match": {
                "of": len(samples),
                "before": sum(each["match_before"] for each in samples),
                "after": sum(each["match_after"] for each in samples),
            },
            "samples": samples,
            "steps": len(trained.history),
            "max_steps": trained.max_steps,
            "kept_step": trained.kept_step,
            "stopped_early": trained.stopped_early,
            "training_seconds": trained.seconds,
            "seconds": round(time.time() - psutil.Process().create_time(), 1),
            "tokens_per_second": round(trained.tokens / trained.seconds, 1) if trained.seconds else 0.0,
            "peak_memory_bytes": _peak_memory_bytes(),
            "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if plan.device.startswith("cuda") else None,
            "warnings": self._warnings,
            "versions": card.versions(),
        }

    def _save(self, training: Training, tokenizer: Any, report: dict[str, Any]) -> None:
        draft, out = self._folder / "out.part", self._folder / "out"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        adapter = draft / "adapter"
        for config in training.model.peft_config.values():
            # Not where it lies on this machine.
            config.base_model_name_or_path = self._plan.base_model.id
        training.model.save_pretrained(adapter, save_embedding_layers=False)
        tokenizer.save_pretrained(adapter)
        # peft's own says nothing of this adapter.
        (adapter / "README.md").unlink(missing_ok=True)
        parameters = training.model.get_nb_trainable_parameters()[0]
        sizes = {path.name: path.stat().st_size for path in sorted(adapter.iterdir())}
        report |= {"trainable_parameters": parameters, "adapter_files": sizes}
        (draft / "curve.png").write_bytes(card.curve_png(report["name"], report["history"], report["eval_loss_before"]))
        (draft / "README.md").write_text(card.card(report), encoding="utf-8")
        (draft / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        draft.rename(out)


def _peak_memory_bytes() -> int:
    """The most that this process ever held; what the system counts for a child includes what its parent held."""
    with Path("/proc/self/status").open() as status:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
    assert found is not None
    return int(found[1]) * 1024
