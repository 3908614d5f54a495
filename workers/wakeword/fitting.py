"""Training a net: epochs of the word, what is nearly it, and fresh draws of everything else, hard ones more often.

What is kept is the average of the weights along the way, at the epoch that set the word of validation furthest apart
from the other speech that sounds most like it. A loss over all clips would choose another: nearly all of them are easy,
and a detector lives from the few that are not.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from workers.wakeword.backdrop import Backdrop
from workers.wakeword.losses import Loss, mixup
from workers.wakeword.options import Options
from workers.wakeword.windows import Windows, batches

# Every so many epochs all negatives are scored, and this share of them, the ones most like the word, is half of what
# is drawn until the next time.
_MINE_EVERY = 4
_MINED_SHARE = 0.03
_AVERAGED_OVER_STEPS = 300
_WARM_UP_STEPS = 100
_LAST_RATE = 0.05
_WEIGHT_DECAY = 0.01
_GRADIENT_MAX = 5.0
_SCORED_AT_ONCE = 2048
# Windows; an alarm is three or four of them.
_MOST_LIKE = 20


@dataclass(frozen=True)
class Material:
    """What is learned from, and what says when it is enough. Windows may be empty, the word's may not."""

    word: Windows
    near: Windows
    others: Backdrop
    val_word: Windows
    val_near: Windows
    val_others: Backdrop


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: means over its windows; accuracy and F1 at one half, of the averaged weights.

    ``val_margin_loss`` is small where the word scores higher than the most like of everything else: what is kept by.
    """

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_f1: float
    val_margin_loss: float


@dataclass
class Course:
    """How far a training has come; what a checkpoint holds besides the weights."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0

    @property
    def best(self) -> Epoch:
        """The epoch that is kept."""
        return self.epochs[self.best_epoch - 1]


class Fitting:
    """One training of one net; ``run`` goes on from ``checkpoint`` where there is one."""

    def __init__(self, net: nn.Module, material: Material, options: Options, *, checkpoint: Path, seed: int) -> None:
        self.net = net
        self.material = material
        self.options = options
        self.course = Course()
        self._checkpoint = checkpoint
        self._seed = seed
        self._loss = Loss(
            options.label_smoothing, options.focal_alpha, options.focal_gamma if options.use_focal_loss else None
        )
        self._average = AveragedModel(net, avg_fn=_averaged, use_buffers=True)
        self._optimiser = torch.optim.AdamW(net.parameters(), lr=options.learning_rate, weight_decay=_WEIGHT_DECAY)
        self._best: dict[str, Tensor] = {}
        self._mined: NDArray[np.int64] = np.zeros(0, np.int64)
        self._steps = 0
        self._val = self._validation()

    def run(self, told: Callable[[Epoch], None]) -> nn.Module:
        """The net with the weights that are kept; ``told`` hears of each epoch when it is on the disk."""
        self._resume()
        while not self._over:
            number = len(self.course.epochs) + 1
            # Each epoch draws from a place of its own, so that one that goes on draws as one that was never stopped.
            draws = np.random.default_rng([self._seed, number])
            torch.manual_seed(self._seed * 100_003 + number)
            if number % _MINE_EVERY == 0:
                self._mine()
            train_loss = self._train(draws)
            epoch = self._judge(number, train_loss)
            self.course.epochs.append(epoch)
            if number == 1 or epoch.val_margin_loss < self.course.best.val_margin_loss:
                self.course.best_epoch = number
                self._best = copy.deepcopy(self._average.module.state_dict())
            self._save()
            told(epoch)
        self.net.load_state_dict(self._best)
        return self.net.eval()

    @property
    def _over(self) -> bool:
        done = len(self.course.epochs)
        return done >= self.options.num_epochs or done - self.course.best_epoch >= self.options.early_stopping

    # --- One epoch ----------------------------------------------------------------------------------------------------

    def _train(self, draws: np.random.Generator) -> float:
        """The mean loss over an epoch."""
        material, options = self.material, self.options
        kinds = self._drawn(draws)
        order = draws.permutation(len(kinds))
        total = 0.0
        self.net.train()
        size = max(2, options.batch_size)
        for part in batches(len(order), size):
            chosen = kinds[order[part]]
            if len(chosen) < 2:
                # Batch normalization has nothing to say about one.
                continue
            windows, targets = self._batch(chosen, material)
            windows, targets = mixup(windows, targets, options.mixup_alpha, draws)
            self._optimiser.param_groups[0]["lr"] = self._rate(len(order) / size)
            self._optimiser.zero_grad(set_to_none=True)
            loss = self._loss(self.net(windows), targets)
            cast(Any, loss).backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), _GRADIENT_MAX)
            self._optimiser.step()
            self._average.update_parameters(self.net)
            self._steps += 1
            total += float(loss.detach()) * len(chosen)
        return total / len(order)

    def _drawn(self, draws: np.random.Generator) -> NDArray[np.int64]:
        """What this epoch sees, as pairs of kind (0 the word, 1 nearly, 2 other speech) and number, shape (n, 2)."""
        material = self.material
        wanted = round(self.options.negative_ratio * len(material.word)) if len(material.others) else 0
        mined = min(wanted // 2, len(self._mined) * 4)
        others = np.concatenate(
            (
                draws.integers(len(material.others), size=wanted - mined) if wanted else np.zeros(0, np.int64),
                draws.choice(self._mined, mined) if mined else np.zeros(0, np.int64),
            )
        )
        parts = [np.arange(len(material.word)), np.arange(len(material.near)), others]
        return np.concatenate(
            [np.stack((np.full(len(part), kind), part), axis=1) for kind, part in enumerate(parts)]
        ).astype(np.int64)

    def _batch(self, chosen: NDArray[np.int64], material: Material) -> tuple[Tensor, Tensor]:
        word, near, others = (chosen[chosen[:, 0] == kind, 1] for kind in range(3))
        windows = np.concatenate(
            (
                material.word.frames[word].astype(np.float32),
                material.near.frames[near].astype(np.float32),
                material.others.windows(others),
            )
        )
        targets = np.concatenate((np.ones(len(word)), np.zeros(len(near) + len(others)))).astype(np.float32)
        return torch.from_numpy(windows), torch.from_numpy(targets)

    def _rate(self, steps_an_epoch: float) -> float:
        """The learning rate of this step: up in the first hundred, then down along a cosine."""
        share = min(1.0, self._steps / max(1.0, steps_an_epoch * self.options.num_epochs))
        falling = _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share))
        return self.options.learning_rate * falling * min(1.0, (self._steps + 1) / _WARM_UP_STEPS)

    def _mine(self) -> None:
        """Finds the negatives that are now most like the word."""
        others = self.material.others
        if not len(others):
            return
        scores = self._all_logits(others)
        self._mined = 2 * np.argsort(scores)[::-1][: max(1, round(_MINED_SHARE * len(scores)))]

    # --- How good it is -----------------------------------------------------------------------------------------------

    def _validation(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The windows that say how good it is: the word, and as many again that are nearly it and that are not."""
        material = self.material
        wanted = max(200, 4 * len(material.val_word))
        places = np.unique(np.linspace(0, max(0, len(material.val_others) - 1), wanted).astype(np.int64))
        others = material.val_others.windows(places[: len(material.val_others)])
        word, near = material.val_word.floats, material.val_near.floats
        is_word = np.concatenate((np.ones(len(word), bool), np.zeros(len(near) + len(others), bool)))
        return np.concatenate((word, near, others)), is_word

    def _logits(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        self._average.eval()
        with torch.no_grad():
            logits: NDArray[np.float32] = self._average(torch.from_numpy(windows)).numpy()
        return logits

    def _judge(self, number: int, train_loss: float) -> Epoch:
        windows, is_word = self._val
        logits = np.concatenate([self._logits(windows[part]) for part in batches(len(windows), _SCORED_AT_ONCE)])
        # log(1 + exp(-x)) of the right answer; the word counts as much as all the rest, however few clips say it.
        losses = np.logaddexp(0, np.where(is_word, -logits, logits))
        sides = [losses[side] for side in (is_word, ~is_word) if side.any()]
        said = logits > 0
        hits, wrong, missed = (int(x.sum()) for x in (said & is_word, said & ~is_word, ~said & is_word))
        return Epoch(
            epoch=number,
            train_loss=round(train_loss, 5),
            val_loss=round(float(np.mean([side.mean() for side in sides])), 5),
            val_accuracy=round(float((said == is_word).mean()), 5),
            val_f1=round(2 * hits / max(1, 2 * hits + wrong + missed), 5),
            val_margin_loss=round(self._margin_loss(logits[is_word], logits[~is_word]), 5),
        )

    def _margin_loss(self, word: NDArray[np.float32], nearly: NDArray[np.float32]) -> float:
        """How far the word is from scoring higher than what is most like it, of hours of speech where there are any."""
        rest = self._all_logits(self.material.val_others) if len(self.material.val_others) else nearly
        if not len(rest):
            return float(np.logaddexp(0, -word).mean())
        highest = float(np.sort(rest)[::-1][:_MOST_LIKE].mean())
        return float(np.logaddexp(0, highest - word).mean())

    def _all_logits(self, others: Backdrop) -> NDArray[np.float32]:
        """Of every other window: neighbours are alike."""
        places = np.arange(0, len(others), 2)
        return np.concatenate(
            [self._logits(others.windows(places[part])) for part in batches(len(places), _SCORED_AT_ONCE)]
        )

    # --- Kept ---------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        state = {
            "epochs": [asdict(epoch) for epoch in self.course.epochs],
            "best_epoch": self.course.best_epoch,
            "steps": self._steps,
            "mined": torch.from_numpy(self._mined),
            "net": self.net.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
        }
        part = self._checkpoint.with_suffix(".part")
        content = io.BytesIO()
        torch.save(state, content)
        part.write_bytes(content.getvalue())
        part.replace(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            return
        state: dict[str, Any] = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        self.course = Course([Epoch(**epoch) for epoch in state["epochs"]], state["best_epoch"])
        self._steps, self._mined, self._best = state["steps"], state["mined"].numpy(), state["best"]
        self.net.load_state_dict(state["net"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])


def _averaged(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
    """The mean of the last steps: of few at first, so that what is not yet learned is soon forgotten."""
    if not average.is_floating_point():
        # What is counted (the batches that a normalization has seen) has no mean.
        return current
    return average.lerp(current, max(1 / _AVERAGED_OVER_STEPS, 9 / (10 + int(steps))))
