"""The course of a training: what is told of each step, when it is saved, which epoch is best, when it ends."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from workers.clients.whole_files import write_whole
from workers.errors import WorkError
from workers.llm.plan import Plan


@dataclass(frozen=True)
class Step:
    """One step; ``eval_loss`` where held-out prompts were judged after it. ``epoch`` counts from 1."""

    step: int
    max_steps: int
    epoch: int
    total_epochs: int
    loss: float
    learning_rate: float
    tokens_per_second: float
    eval_loss: float | None = None


class Course(TrainerCallback):
    """Tells of each step, saves every few seconds, keeps the best epoch's adapter and ends a training in time."""

    def __init__(
        self,
        plan: Plan,
        max_steps: int,
        folder: Path,
        save_adapter: Callable[[Path], None],
        counted: Callable[[], int],
    ) -> None:
        self._config = plan.config
        self._checkpoint_seconds = plan.checkpoint_seconds
        self._max_steps = max_steps
        self._folder = folder
        self._save_adapter = save_adapter
        self.told: Callable[[Step], None] = lambda step: None
        self._saved_at = self._step_at = time.monotonic()
        self.seconds = 0.0
        self.tokens = 0
        self._count = counted
        self._counted = 0
        self._latest: Step | None = None

    @property
    def _clock(self) -> Path:
        return self._folder / "clock.json"

    def begin(self, resumed: Path | None) -> None:
        """From here on it is training that takes time."""
        if resumed is not None and self._clock.exists():
            self.seconds, self.tokens = json.loads(self._clock.read_text())
        self._saved_at = self._step_at = time.monotonic()

    def on_log(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """A step, with what it came to."""
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            rate = self._config.learning_rate
            message = f"The loss is {loss} at step {state.global_step}: learning_rate {rate:g} is too high for this."
            raise WorkError(message, code="diverged")
        now = time.monotonic()
        passed, self._step_at = now - self._step_at, now
        # The count begins anew with the process.
        counted = self._count()
        tokens, self._counted = counted - self._counted, counted
        self.seconds, self.tokens = self.seconds + passed, self.tokens + tokens
        self._latest = Step(
            step=state.global_step,
            max_steps=self._max_steps,
            epoch=self._epoch(state.global_step),
            total_epochs=self._config.num_epochs,
            loss=loss,
            learning_rate=float(logs.get("learning_rate", 0.0)),
            tokens_per_second=round(tokens / passed, 1) if passed > 0 else 0.0,
        )
        self.told(self._latest)

    def on_evaluate(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """An epoch has been judged."""
        if self._latest is None or not metrics:
            return
        self._step_at = time.monotonic()
        self.told(Step(**asdict(self._latest) | {"eval_loss": float(metrics["eval_loss"])}))
        patience = self._config.early_stopping_patience
        if not patience:
            return
        judged = self._judged(state)
        best = self.best(state)
        if best == state.global_step:
            self._save_adapter(self._folder / f"best-{best}.safetensors")
        if best is not None and sum(step > best for step in judged) >= patience:
            control.should_training_stop = True
            # One that goes on from there would not know that it is over.
            control.should_save = False

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Whether to save now; the end of an epoch is judged first, which a checkpoint before that would pass over."""
        if state.global_step % (self._max_steps // self._config.num_epochs):
            self._save_if_due(control)

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Whether to save when it has been judged."""
        self._save_if_due(control)

    def _save_if_due(self, control: TrainerControl) -> None:
        if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
            control.should_save = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """It has been saved."""
        self._saved_at = time.monotonic()
        write_whole(self._clock, json.dumps([self.seconds, self.tokens]))

    # --- What the trainer's own log says, which checkpoints hold --------------------------------------------------

    def _epoch(self, step: int) -> int:
        epochs = self._config.num_epochs
        return min(epochs, math.ceil(step * epochs / self._max_steps))

    @staticmethod
    def _judged(state: TrainerState) -> dict[int, float]:
        return {entry["step"]: entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry}

    def best(self, state: TrainerState) -> int | None:
        """The step with the lowest loss on held-out prompts."""
        judged = self._judged(state)
        return min(judged, key=lambda step: judged[step]) if judged else None

    def history(self, state: TrainerState) -> list[dict[str, Any]]:
        """Every step's loss and learning rate, and what held-out prompts came to after it."""
        judged = self._judged(state)
        return [
            {
                "step": entry["step"],
                "epoch": self._epoch(entry["step"]),
                "loss": entry["loss"],
                "learning_rate": entry.get("learning_rate", 0.0),
                **({"eval_loss": judged[entry["step"]]} if entry["step"] in judged else {}),
            }
            for entry in state.log_history
            if "loss" in entry
        ]
