"""Each documented option alone, on small data: what it changed. ``-s`` shows the table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

import torch

from workers.device import Device
from workers.wakeword import plan as plans
from workers.wakeword import prompts, voices
from workers.wakeword.making import Making
from workers.wakeword.negatives import NegativeCache
from workers.wakeword.phrases import COMMON

pytestmark = pytest.mark.slow

SMALL = {"target_positive_samples": 60, "num_epochs": 6, "early_stopping": 6, "batch_size": 16}
# The option, a value of it, what it should change, and which way (None: only that it does).
CHANGES: list[tuple[dict[str, Any], str, int | None]] = [
    ({"batch_size": 64}, "learned", None),
    ({"learning_rate": 0.002}, "learned", None),
    ({"num_epochs": 3}, "epochs", -1),
    ({"early_stopping": 1, "learning_rate": 0.1}, "epochs", -1),
    ({"dropout": 0.0}, "learned", None),
    ({"label_smoothing": 0.3}, "learned", None),
    ({"mixup_alpha": 0.0}, "learned", None),
    ({"use_focal_loss": True}, "learned", None),
    ({"use_focal_loss": True, "focal_alpha": 0.9}, "learned", None),
    ({"use_focal_loss": True, "focal_gamma": 5.0}, "learned", None),
    ({"use_attention": True}, "parameters", None),
    ({"use_se_block": True}, "parameters", None),
    ({"use_tcn": True}, "parameters", None),
    # Fewer people, each of them changed more often.
    ({"use_tts_positives": False}, "positive_clips", None),
    ({"use_real_negatives": False}, "negative_seconds", -1),
    ({"use_hard_negatives": False}, "hard_negative_samples", -1),
    ({"target_positive_samples": 100}, "positive_samples", 1),
    ({"negative_ratio": 6.0}, "negative_samples", 1),
    ({"hard_negative_ratio": 1.5}, "hard_negative_samples", 1),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder with two recordings, and a small negative cache beside it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("options") / "base"
    speak = voices.direct(Device("cpu", 1))
    (folder / "recordings").mkdir(parents=True)
    for number, speed in enumerate((0.9, 1.1)):
        samples, rate = speak("computer.", "hibari/heart", speed, 0)
        soundfile.write(folder / "recordings" / f"{number}.wav", np.pad(samples, 4000), rate)
    for speaker, said in (("one", COMMON[:8]), ("two", COMMON[8:16])):
        (folder.parent / "sound" / speaker).mkdir(parents=True)
        for number, text in enumerate(said):
            samples, rate = speak(text, "hibari/heart", 1.0, 0)
            soundfile.write(folder.parent / "sound" / speaker / f"{number}.wav", samples, rate)
    cache = NegativeCache(folder.parent / "negatives")
    cache.build(prompts.sources(folder.parent / "sound"), max_workers=1, report=lambda share, what: None)
    return folder


def trained(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """What a training with these options says of itself."""
    told = {
        "wake_word": "computer",
        "model_type": "embedding",
        "options": SMALL | options,
        "recordings": ["recordings/0.wav", "recordings/1.wav"],
        "negatives": str(folder.parent / "negatives"),
        "threads": 1,
    }
    (folder / "plan.json").write_text(json.dumps(told))
    losses: list[float] = []
    stats: dict[str, int] = {}
    Making(
        plans.read(folder),
        folder,
        progress=lambda phase, share: None,
        data=stats.update,
        epoch=lambda epoch: losses.append(epoch.train_loss),
        warning=lambda text: None,
    ).run()
    report = json.loads((folder / "out" / "report.json").read_text())
    return stats | {"learned": losses, "epochs": len(losses), "parameters": report["trainable_params"]}


@pytest.fixture(scope="module")
def plain(base: Path) -> dict[str, Any]:
    """The training in which nothing was chosen."""
    return trained(base, {})


@pytest.mark.parametrize(("options", "figure", "way"), CHANGES, ids=[",".join(change[0]) for change in CHANGES])
def test_each_option_does_what_it_says(
    base: Path, plain: dict[str, Any], options: dict[str, Any], figure: str, way: int | None
) -> None:
    folder = base.parent / "-".join(f"{name}-{value}" for name, value in options.items())
    shutil.copytree(base / "recordings", folder / "recordings")
    # What the voices said before need not be said again.
    shutil.copytree(base / "clips", folder / "clips")
    against = plain
    if "focal_alpha" in options or "focal_gamma" in options:
        shutil.copytree(folder, folder.parent / f"{folder.name}-against")
        against = trained(folder.parent / f"{folder.name}-against", {"use_focal_loss": True})
    found = trained(folder, options)
    before, after = against[figure], found[figure]
    shown = (before[-1], after[-1]) if figure == "learned" else (before, after)
    print(f"{options}: {'loss of the last epoch' if figure == 'learned' else figure} {shown[0]} -> {shown[1]}")
    if way is None:
        assert before != after
    else:
        assert (after - before) * way > 0
