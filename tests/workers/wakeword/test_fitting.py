"""Training: learns what can be learned, stops in time, keeps its best, and goes on after a kill as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from workers.wakeword import nets
from workers.wakeword.backdrop import Backdrop
from workers.wakeword.features import frontend
from workers.wakeword.fitting import Epoch, Fitting, Material
from workers.wakeword.nets import NetOptions
from workers.wakeword.options import Options
from workers.wakeword.windows import Windows

FRAMES, WIDTH = 16, 96
QUICK = Options(
    batch_size=16,
    num_epochs=8,
    early_stopping=8,
    learning_rate=0.002,
    label_smoothing=0.0,
    mixup_alpha=0.0,
    dropout=0.1,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def windows(count: int, label: int, seed: int) -> Windows:
    """Noise; the word is a rise of one number in the second half, the near word one in the first."""
    draws = np.random.default_rng(seed)
    frames = draws.normal(0, 1, (count, FRAMES, WIDTH))
    half = slice(FRAMES // 2, None) if label else slice(0, FRAMES // 2)
    frames[:, half, 5] += 3.0
    return Windows(frames.astype(np.float16), np.full(count, label, np.int8), ("x",) * count, ("f",) * count)


def others(count: int, seed: int) -> Backdrop:
    row = np.random.default_rng(seed).normal(0, 1, (count, WIDTH)).astype(np.float16)
    return Backdrop([row], frontend("embedding"))


def material(**changes: object) -> Material:
    whole = Material(
        word=windows(150, 1, 1),
        near=windows(80, 0, 2),
        others=others(600, 3),
        val_word=windows(60, 1, 4),
        val_near=windows(60, 0, 5),
        val_others=others(400, 6),
    )
    return replace(whole, **changes)


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nets.build("embedding", frontend("embedding"), NetOptions(dropout=0.1))


def fitted(tmp_path: Path, options: Options = QUICK, learned: Material | None = None) -> tuple[Fitting, list[Epoch]]:
    told: list[Epoch] = []
    fitting = Fitting(net(), learned or material(), options, checkpoint=tmp_path / "checkpoint.pt", seed=1)
    fitting.run(told.append)
    return fitting, told


def weights(fitting: Fitting) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in fitting.net.state_dict().items()}


def test_what_can_be_told_apart_is_learned_in_its_order_of_time(tmp_path: Path) -> None:
    fitting, told = fitted(tmp_path)
    assert [epoch.epoch for epoch in told] == list(range(1, 9))
    assert told[-1].train_loss < told[0].train_loss / 2
    best = fitting.course.best
    assert best.val_f1 > 0.8
    assert best.val_accuracy > 0.9
    assert best.val_margin_loss == min(epoch.val_margin_loss for epoch in told)


def test_it_stops_when_nothing_gets_better_and_keeps_the_best_not_the_last(tmp_path: Path) -> None:
    # The word of validation is what training calls nearly it: the longer, the worse.
    wrong = material(val_word=replace(windows(60, 0, 9), labels=np.ones(60, np.int8)), val_near=windows(60, 1, 10))
    options = replace(QUICK, num_epochs=40, early_stopping=3)
    fitting, told = fitted(tmp_path, options, wrong)
    assert len(told) == fitting.course.best_epoch + 3 < 40
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["best_epoch"] == fitting.course.best_epoch
    assert all(torch.equal(value, state["best"][name]) for name, value in fitting.net.state_dict().items())
    assert any(not torch.equal(value, state["net"][name]) for name, value in fitting.net.state_dict().items())


@pytest.mark.parametrize("after", [1, 4])
def test_one_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path, after: int) -> None:
    class Killed(Exception):
        pass

    whole, told_whole = fitted(tmp_path)
    checkpoint = tmp_path / "second" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    told: list[Epoch] = []

    def die(epoch: Epoch) -> None:
        told.append(epoch)
        if epoch.epoch == after:
            raise Killed

    with pytest.raises(Killed):
        Fitting(net(), material(), QUICK, checkpoint=checkpoint, seed=1).run(die)
    # Another process begins with another net, and has everything from the file.
    second = Fitting(net(seed=5), material(), QUICK, checkpoint=checkpoint, seed=1)
    second.run(told.append)
    assert told == told_whole
    assert weights(second) == weights(whole)


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.part").write_bytes(b"PK half")
    _, told = fitted(tmp_path)
    assert len(told) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 32},
        {"learning_rate": 0.0002},
        {"num_epochs": 3},
        {"dropout": 0.0},
        {"label_smoothing": 0.3},
        {"mixup_alpha": 2.0},
        {"use_focal_loss": True},
        {"use_focal_loss": True, "focal_gamma": 5.0},
        {"use_focal_loss": True, "focal_alpha": 0.9},
        {"negative_ratio": 0.0},
    ],
    ids=",".join,
)
def test_each_option_of_a_training_changes_what_is_learned(tmp_path: Path, change: dict[str, object]) -> None:
    quick = replace(QUICK, num_epochs=2)
    runs = []
    for name, options in (("plain", quick), ("changed", replace(quick, **change))):
        torch.manual_seed(0)
        head = nets.build("embedding", frontend("embedding"), NetOptions(dropout=options.dropout))
        told: list[Epoch] = []
        fitting = Fitting(head, material(), options, checkpoint=tmp_path / name, seed=1)
        fitting.run(told.append)
        runs.append((told, weights(fitting)))
    (told_plain, plain), (told_changed, changed) = runs
    assert plain != changed
    assert told_plain != told_changed


@pytest.mark.parametrize("part", ["use_attention", "use_se_block", "use_tcn"])
def test_every_part_of_a_head_can_be_trained(tmp_path: Path, part: str) -> None:
    torch.manual_seed(0)
    head = nets.build("embedding", frontend("embedding"), NetOptions(**{part: True}))
    told: list[Epoch] = []
    Fitting(head, material(), QUICK, checkpoint=tmp_path / "checkpoint.pt", seed=1).run(told.append)
    assert told[-1].val_f1 > 0.8


@pytest.mark.parametrize("kind", ["tcresnet", "bcresnet"])
def test_every_net_from_scratch_can_be_trained(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    front = frontend("mel")
    draws = np.random.default_rng(1)

    def drawn(count: int, label: int) -> Windows:
        frames = draws.normal(label, 1, (count, front.window_frames, front.width)).astype(np.float16)
        return Windows(frames, np.full(count, label, np.int8), ("x",) * count, ("f",) * count)

    row = draws.normal(0, 1, (400, front.width)).astype(np.float16)
    learned = Material(
        drawn(24, 1), drawn(24, 0), Backdrop([row], front), drawn(8, 1), drawn(8, 0), Backdrop([row], front)
    )
    net = nets.build(kind, front, NetOptions())
    told: list[Epoch] = []
    options = replace(QUICK, num_epochs=2)
    Fitting(net, learned, options, checkpoint=tmp_path / "checkpoint.pt", seed=1).run(told.append)
    assert len(told) == 2
    assert all(np.isfinite(epoch.train_loss) for epoch in told)


def test_without_any_other_speech_it_learns_from_what_there_is(tmp_path: Path) -> None:
    empty = Backdrop([], frontend("embedding"))
    _, told = fitted(tmp_path, QUICK, material(others=empty, val_others=empty))
    assert told[-1].val_f1 > 0.9


def test_hard_negatives_are_drawn_more_often(tmp_path: Path) -> None:
    fitting, _ = fitted(tmp_path)
    row = np.random.default_rng(3).normal(0, 1, (2000, WIDTH)).astype(np.float16)
    # In a long row, five stretches that might be the word, in windows that begin eight frames before.
    stretches = np.arange(200, 2000, 400)
    for start in stretches:
        row[start : start + 8, 5] += 3.0
    fitting.material = replace(fitting.material, others=Backdrop([row], frontend("embedding")))
    shares = []
    for mined in (False, True):
        if mined:
            fitting._mine()
        drawn = fitting._drawn(np.random.default_rng(0))
        places = drawn[drawn[:, 0] == 2, 1]
        shares.append(float((np.abs(places[:, None] - (stretches - 8)).min(1) <= 2).mean()))
    assert shares[1] > 5 * max(shares[0], 25 / 2000)
