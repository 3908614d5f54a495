"""A model from its plan: every phase of a training, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workers.wakeword import (
    delivering,
    fewshot,
    judging,
    nets,
    spectrogram_transformer,
)
from workers.wakeword.backdrop import Backdrop
from workers.wakeword.delivering import Made
from workers.wakeword.evaluation import Scorer
from workers.wakeword.features import frontend
from workers.wakeword.fitting import Epoch, Fitting, Material
from workers.wakeword.material import Gathering
from workers.wakeword.nets import ModelType, NetOptions
from workers.wakeword.plan import Plan
from workers.wakeword.report import Findings
from workers.wakeword.windows import Front

# Where each phase begins on the bar: by what it takes of a usual training on two cores.
PHASES = {
    "Checking recordings": 0.0,
    "Making positive samples": 0.02,
    "Preparing negatives": 0.28,
    "Extracting features": 0.36,
    "Training classifier": 0.66,
    "Evaluating": 0.92,
    "Exporting": 0.97,
}


class Making:
    """One training; what it makes lies in ``out`` of its folder in the end, with ``report.json``."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        *,
        progress: Callable[[str, float], None],
        data: Callable[[dict[str, int]], None],
        epoch: Callable[[Epoch], None],
        warning: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._progress = progress
        self._data = data
        self._epoch = epoch
        self._warning = warning
        self._told_warnings = 0
        self._began = time.monotonic()
        self.used, self.reason = plan.used
        self._front: Front = self._opened_front()

    def _opened_front(self) -> Front:
        if self.used == "ast":
            assert self._plan.ast_folder is not None
            return spectrogram_transformer.SpectrogramTransformer(self._plan.ast_folder)
        return frontend("mel" if self.used in ("tcresnet", "bcresnet") else "embedding")

    def run(self) -> None:
        """Every phase.

        Raises:
            WorkError: the recordings, or what else was given, cannot be used.
        """
        gathering = self._phase("Checking recordings", lambda _: Gathering(self._plan, self._folder, self._front))
        self._warn(gathering)
        self._phase("Making positive samples", gathering.speak)
        self._warn(gathering)
        others = {
            use: self._phase("Preparing negatives", lambda tell, use=use: gathering.others(use, tell), part)
            for part, use in (((0, 0.7), "train"), ((0.7, 0.8), "val"), ((0.8, 1), "test"))
        }
        material = Material(
            word=self._phase("Extracting features", lambda tell: gathering.windows("word", "train", tell), (0, 0.55)),
            near=self._phase(
                "Extracting features", lambda tell: gathering.windows("near", "train", tell), (0.55, 0.85)
            ),
            val_word=self._phase(
                "Extracting features", lambda tell: gathering.windows("word", "val", tell), (0.85, 0.95)
            ),
            val_near=self._phase("Extracting features", lambda tell: gathering.windows("near", "val", tell), (0.95, 1)),
            others=others["train"],
            val_others=others["val"],
        )
        stats = self._stats(gathering, material)
        self._data(stats)
        made = self._templates(gathering, material) if self.used == "fewshot" else self._fitted(material)
        findings = self._phase("Evaluating", lambda _: self._judged(made.scorer, gathering, material, others["test"]))
        about = self._about(gathering, stats)
        self._phase("Exporting", lambda _: delivering.write(self._folder / "out", self._plan, made, findings, about))

    # --- Training -----------------------------------------------------------------------------------------------------

    @property
    def _net_options(self) -> NetOptions:
        options = self._plan.options
        return NetOptions(
            use_attention=options.use_attention,
            use_se_block=options.use_se_block,
            use_tcn=options.use_tcn,
            dropout=options.dropout,
        )

    @property
    def _model_type(self) -> ModelType:
        return next(name for name in nets.FRONTENDS if name == self.used)

    def _fitted(self, material: Material) -> Made:
        torch.manual_seed(self._plan.seed)
        net = nets.build(self._model_type, self._front, self._net_options)
        options = self._plan.options
        fitting = Fitting(net, material, options, checkpoint=self._folder / "checkpoint.pt", seed=self._plan.seed)

        def told(epoch: Epoch) -> None:
            self._progress("Training classifier", _at("Training classifier", epoch.epoch / options.num_epochs))
            self._epoch(epoch)

        self._progress("Training classifier", PHASES["Training classifier"])
        net = fitting.run(told)
        history = [
            asdict(epoch) | {"kept": epoch.epoch == fitting.course.best_epoch} for epoch in fitting.course.epochs
        ]
        scorer, files = delivering.exported(net, self._model_type, self._net_options, self._front, material)
        return Made(scorer, files, nets.parameters(net), history)

    def _templates(self, gathering: Gathering, material: Material) -> Made:
        learned = [clip.samples for clip in gathering.recorded if gathering.splits.of(clip) == "train"]
        others = material.others
        some = np.linspace(0, max(0, len(others) - 1), min(len(others), 4000)).astype(np.int64)
        known = np.concatenate((others.windows(some), material.near.floats[:2000]))
        templates = fewshot.of_recordings(learned[:5], known if len(known) else None)
        return Made(templates, {"detector": templates.saved()}, 0, [])

    # ------------------------------------------------------------------------------------------------------------------

    def _judged(self, scorer: Scorer, gathering: Gathering, material: Material, test: Backdrop) -> Findings:
        assert gathering.heard is not None
        word, near = gathering.heard.word, gathering.heard.near
        return judging.findings(
            scorer, self._front, word["test"] or word["val"], near["test"], material.val_others, test, self._plan.seed
        )

    def _about(self, gathering: Gathering, stats: dict[str, int]) -> dict[str, Any]:
        """What the report says beside the findings."""
        plan = self._plan
        return {
            "model_type_requested": plan.model_type,
            "model_type_used": self.used,
            "reason": self.reason,
            "training_config": vars(plan.options) | {"seed": plan.seed, "device": plan.device},
            "data_stats": stats,
            "warnings": gathering.warnings,
            "notes": list(gathering.splits.notes),
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def _stats(self, gathering: Gathering, material: Material) -> dict[str, int]:
        heard = gathering.heard
        assert heard is not None
        drawn = round(self._plan.options.negative_ratio * len(material.word)) if len(material.others) else 0
        return {
            "recordings": len(gathering.recorded),
            "positive_clips": sum(len(clips) for clips in heard.word.values()),
            "positive_samples": len(material.word) + len(material.val_word),
            "hard_negative_samples": len(material.near) + len(material.val_near),
            "negative_samples": drawn + len(material.near) + len(material.val_near),
            "train_size": len(material.word) + len(material.near) + drawn,
            "val_size": len(material.val_word) + len(material.val_near),
            "negative_seconds": round(material.others.hours * 3600),
        }

    def _warn(self, gathering: Gathering) -> None:
        for text in gathering.warnings[self._told_warnings :]:
            self._warning(text)
        self._told_warnings = len(gathering.warnings)

    def _phase(self, phase: str, act: Callable[..., Any], part: tuple[float, float] = (0.0, 1.0)) -> Any:
        low, high = part
        self._progress(phase, _at(phase, low))
        return act(lambda share, _="": self._progress(phase, _at(phase, low + (high - low) * share)))


def _at(phase: str, share: float) -> float:
    begins = PHASES[phase]
    ends = min((start for start in PHASES.values() if start > begins), default=1.0)
    return begins + (ends - begins) * share
