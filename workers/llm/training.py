"""The training itself: trl's trainer over our tokens, with checkpoints that are whole, the best epoch, and an end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# The order matters: transformers imports torchaudio.
from workers import plain_torchaudio  # noqa: F401  # isort: skip

import torch
from datasets import Dataset as Table
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from trl import SFTConfig, SFTTrainer

from workers.clients.whole_files import drafted, write_whole
from workers.errors import BadInput
from workers.llm import sizing
from workers.llm.course import Course, Step
from workers.llm.dataset import IGNORED, Dataset, Example
from workers.llm.plan import Plan

_WHOLE = "whole"
# Places in a batch; more are left to trl, which scores them in pieces.
_SCORED_AT_ONCE = 1024


@dataclass(frozen=True)
class Trained:
    """How a training went; the adapter is in the model.

    Attributes:
        eval_loss_before: On held-out prompts, of the base model; None where none are held out.
        kept_step: The step whose weights are kept.
        seconds: Of all lives of the process, in training alone.
    """

    history: list[dict[str, Any]]
    eval_loss_before: float | None
    kept_step: int
    max_steps: int
    stopped_early: bool
    seconds: float
    tokens: int

    @property
    def eval_loss(self) -> float | None:
        """On held-out prompts, with the weights that are kept."""
        return next((each.get("eval_loss") for each in self.history if each["step"] == self.kept_step), None)


class Training:
    """One training; ``run`` goes on from the last whole checkpoint in ``folder``."""

    def __init__(self, model: Any, tokenizer: Any, plan: Plan, dataset: Dataset, folder: Path) -> None:
        self.plan, self.dataset = plan, dataset
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.max_steps = sizing.steps(len(dataset.train), plan.config)
        self.course = Course(plan, self.max_steps, folder, self.save_adapter, lambda: self.trainer.tokens)
        try:
            self.trainer = _Trainer(
                model=model,
                args=_arguments(plan, self.checkpoints, judges=bool(dataset.held_out)),
                train_dataset=_table(dataset.train),
                eval_dataset=_table(dataset.held_out) if dataset.held_out else None,
                processing_class=tokenizer,
                peft_config=_lora(plan),
                callbacks=[self.course],
            )
        except ValueError as fault:
            # The one thing that peft says of what was asked for.
            if "arget modules" not in str(fault):
                raise
            raise BadInput(f"target_modules: {fault}", code="bad_config") from None

    @property
    def model(self) -> Any:
        """The base model with the adapter on it."""
        return self.trainer.model

    @property
    def _done(self) -> Path:
        return self.folder / "trained.json"

    def run(self, told: Callable[[Step], None]) -> Trained:
        """The whole training, from wherever it is.

        Raises:
            WorkError: the loss is no number any more.
        """
        if not self._done.exists():
            self.course.told = told
            self._train()
        set_peft_model_state_dict(self.model, load_file(self.folder / "trained.safetensors"))
        return Trained(**json.loads(self._done.read_text()))

    def _train(self) -> None:
        before = self._judged_before()
        resumed = self._last_checkpoint()
        self.course.begin(resumed)
        # Whatever was drawn so far, in this life of the process or an earlier one: from here on it is the same.
        torch.manual_seed(self.plan.seed)
        self.trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        state = self.trainer.state
        best = self.course.best(state)
        if best is not None and self.plan.config.early_stopping_patience and best != state.global_step:
            shutil.copyfile(self.folder / f"best-{best}.safetensors", self.folder / "trained.safetensors")
            kept = best
        else:
            self.save_adapter(self.folder / "trained.safetensors")
            kept = state.global_step
        trained = Trained(
            history=self.course.history(state),
            eval_loss_before=before,
            kept_step=kept,
            max_steps=self.max_steps,
            stopped_early=state.global_step < self.max_steps,
            seconds=round(self.course.seconds, 2),
            tokens=self.course.tokens,
        )
        write_whole(self._done, json.dumps(asdict(trained)))
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _judged_before(self) -> float | None:
        if not self.dataset.held_out:
            return None
        path = self.folder / "judged_before.json"
        if not path.exists():
            loss = float(self.trainer.evaluate()["eval_loss"])
            self.trainer.state.log_history.clear()
            write_whole(path, json.dumps(loss))
        return float(json.loads(path.read_text()))

    def save_adapter(self, path: Path) -> None:
        """The adapter's weights as they are now."""
        state = {name: value.contiguous().cpu() for name, value in get_peft_model_state_dict(self.model).items()}
        with drafted(path) as draft:
            save_file(state, draft, metadata={"format": "pt"})

    def _last_checkpoint(self) -> Path | None:
        """The last whole one; halves are removed."""
        found = {}
        for path in self.checkpoints.glob("checkpoint-*"):
            if (path / _WHOLE).exists():
                found[int(path.name.rpartition("-")[2])] = path
            else:
                shutil.rmtree(path)
        return found[max(found)] if found else None


def _arguments(plan: Plan, folder: Path, *, judges: bool) -> Any:
    config = plan.config
    on_gpu = plan.device.startswith("cuda")
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=config.num_epochs,
        learning_rate=config.learning_rate,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        lr_scheduler_type=config.lr_scheduler,
        # As a share, below 1.
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch",
        # trl's own default is to save memory by computing everything twice.
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if config.gradient_checkpointing else None,
        eval_strategy="epoch" if judges else "no",
        # When, the course decides. Of two, one is whole while the other is written.
        save_strategy="no",
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        seed=plan.seed,
        data_seed=plan.seed,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=not on_gpu,
        bf16=on_gpu,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        report_to=[],
    )


def _lora(plan: Plan) -> Any:
    config = plan.config
    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.modules,
        task_type="CAUSAL_LM",
    )


def _table(examples: Sequence[Example]) -> Any:
    return Table.from_dict(
        {"input_ids": [list(each.ids) for each in examples], "labels": [each.labels for each in examples]}
    )


class _Trainer(SFTTrainer):
    """trl's trainer, but a checkpoint is marked when it is whole, nothing is written beside it, and tokens are counted.

    Attributes:
        tokens: How many went through it in training, in this life of the process.
    """

    tokens = 0

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean over what is learned; on a processor without scoring the vocabulary where nothing is learned."""
        if model.training:
            self.tokens += int(inputs["attention_mask"].sum())
        labels = inputs["labels"][:, 1:]
        places = (labels != IGNORED).any(0).nonzero().flatten()
        if return_outputs or model.device.type != "cpu" or labels.shape[0] * len(places) > _SCORED_AT_ONCE:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        scores = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=places,
        ).logits
        wanted = labels[:, places].flatten()
        lost = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1).float(), wanted, ignore_index=IGNORED, reduction="sum"
        )
        learned = (wanted != IGNORED).sum() if num_items_in_batch is None else torch.as_tensor(num_items_in_batch)
        return lost / learned.clamp(min=1)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: ours is written at the end."""

    def _save_checkpoint(self, *given: Any, **named: Any) -> None:
        super()._save_checkpoint(*given, **named)
        (Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / _WHOLE).touch()
