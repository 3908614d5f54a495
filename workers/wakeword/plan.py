"""What a training is asked to do: ``plan.json`` of its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from workers.wakeword.options import Options, resolved

FILE = "plan.json"

_JUDGED_BY = 120


@dataclass(frozen=True)
class Plan:
    """One training. Paths of sound are relative to its folder; ``negatives`` is that of a ``NegativeCache``."""

    wake_word: str
    model_type: str
    options: Options
    recordings: tuple[str, ...]
    false_alarms: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    negatives: Path | None = None
    ast_folder: Path | None = None
    seed: int = 1
    threads: int = 2
    device: str = "cpu"
    target_false_accepts_per_hour: float = 0.5

    @property
    def positive_windows(self) -> int:
        """How many windows with the word are made; templates need some to be judged by, and no more."""
        wanted = self.options.target_positive_samples
        return min(wanted, _JUDGED_BY) if self.model_type == "fewshot" else wanted

    @property
    def used(self) -> tuple[str, str]:
        """The type of model that is made, and why it is not the one that was asked for (empty if it is)."""
        return resolved(self.model_type, has_ast=self.ast_folder is not None)


def read(folder: Path) -> Plan:
    """The plan in a training's folder."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    asked = told.pop("options", {})
    paths = {name: Path(told[name]) if told.get(name) else None for name in ("negatives", "ast_folder")}
    sounds = {name: tuple(told.get(name, ())) for name in ("recordings", "false_alarms", "misses")}
    return Plan(**(told | paths | sounds), options=Options.of(asked))
