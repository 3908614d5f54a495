"""The training process, whole: from a plan and a few recordings to files that detect; killed, it goes on."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch")

from workers.device import Device
from workers.wakeword import voices
from workers.wakeword.detector import Detector

ROOT = Path(__file__).parents[3]
# A net that has hardly learned: what is tested is the way, not the figures.
TINY = {"target_positive_samples": 24, "num_epochs": 4, "hard_negative_ratio": 0.5, "use_real_negatives": False}


@pytest.fixture(scope="module")
def takes() -> list[bytes]:
    """Three takes of a word, as somebody records them."""
    speak = voices.direct(Device("cpu", 1))
    made = []
    for speed in (0.9, 1.0, 1.15):
        samples, rate = speak("computer.", "hibari/heart", speed, 0)
        quiet = np.random.default_rng(0).normal(0, 0.0005, rate // 2).astype(np.float32)
        content = io.BytesIO()
        soundfile.write(content, np.concatenate((quiet, samples * 0.5, quiet)), rate, format="wav")
        made.append(content.getvalue())
    return made


def plan(folder: Path, takes: list[bytes], model_type: str = "embedding", **changes: Any) -> Path:
    """A training's folder."""
    recordings = []
    for number, content in enumerate(takes):
        path = folder / "recordings" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        recordings.append(str(path.relative_to(folder)))
    told = {"wake_word": "computer", "model_type": model_type, "options": TINY, "recordings": recordings, "threads": 1}
    (folder / "plan.json").write_text(json.dumps(told | changes))
    return folder


def started(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "workers.wakeword.train", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """How the process ended, and every line of it: nothing else may be on its output."""
    process = started(folder)
    out, err = process.communicate(timeout=110)
    assert process.returncode in (0, 1), err[-2000:]
    return process.returncode, [json.loads(line) for line in out.splitlines()]


@pytest.mark.slow
def test_a_plan_becomes_a_detector_with_its_report(tmp_path: Path, takes: list[bytes]) -> None:
    status, lines = said(plan(tmp_path, takes, "ast"))
    assert status == 0
    assert lines[-1] == {"type": "done"}
    shares = [line["progress"] for line in lines if line["type"] == "phase"]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    epochs = [line for line in lines if line["type"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [1, 2, 3, 4]
    assert {line["total_epochs"] for line in epochs} == {4}
    assert {"train_loss", "val_loss", "val_accuracy", "val_f1"} <= set(epochs[0]["metrics"])
    (data,) = (line["data_stats"] for line in lines if line["type"] == "data")
    assert data["recordings"] == 3
    assert data["positive_samples"] >= 24
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["model_type_requested"], report["model_type_used"]) == ("ast", "embedding")
    assert "AST_FOLDER" in report["reason"]
    assert set(report["files"]) == {"weights", "detector", "onnx", "openwakeword", "det_png", "det_json"}
    assert {"accuracy", "f1_score", "precision", "recall"} == set(report["metrics"])
    assert report["families"]["user"]["clips"] == 3
    assert report["training_config"]["num_epochs"] == 4
    assert report["sizes"]["openwakeword"] < 1_000_000
    detector = Detector(tmp_path / "out" / report["files"]["detector"], threshold=report["threshold"])
    samples, rate = soundfile.read(io.BytesIO(takes[0]), dtype="float32")
    assert 0 <= max(score.score for score in detector.hear(samples, rate)) <= 1


def test_few_shot_templates_are_ready_at_once_and_hear_the_word(tmp_path: Path, takes: list[bytes]) -> None:
    options = TINY | {"use_tts_positives": False, "use_hard_negatives": False}
    status, lines = said(plan(tmp_path, takes, "fewshot", options=options))
    assert status == 0
    assert not [line for line in lines if line["type"] == "epoch"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["files"]) == {"detector", "det_png", "det_json"}
    # The third was held out.
    assert report["conditions"]["clean"] == {"clips": 1, "missed": 0, "misses": 0.0, "bound": pytest.approx(0.95)}


@pytest.mark.slow
def test_a_recording_that_cannot_be_used_ends_it_with_a_sentence(tmp_path: Path, takes: list[bytes]) -> None:
    status, lines = said(plan(tmp_path, [takes[0], b"this is text"]))
    assert status == 1
    assert lines[-1]["type"] == "failed"
    assert "1.wav" in lines[-1]["message"]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["Making positive samples", "Extracting features", "Training classifier"])
def test_killed_in_any_phase_it_goes_on_and_ends_as_it_would_have(
    tmp_path: Path, takes: list[bytes], phase: str
) -> None:
    whole, killed = plan(tmp_path / "whole", takes), plan(tmp_path / "killed", takes)
    assert said(whole)[0] == 0
    process = started(killed)
    assert process.stdout is not None
    met = 0
    for line in process.stdout:
        met += phase in line or (phase == "Training classifier" and '"epoch"' in line)
        if met == 2:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status, lines = said(killed)
    assert (status, lines[-1]) == (0, {"type": "done"})
    first, second = (json.loads((folder / "out" / "report.json").read_text()) for folder in (whole, killed))
    timeless = {"seconds"}
    assert {name: first[name] for name in set(first) - timeless} == {
        name: second[name] for name in set(second) - timeless
    }


@pytest.mark.slow
def test_asked_to_stop_it_ends_at_once(tmp_path: Path, takes: list[bytes]) -> None:
    folder = plan(tmp_path, takes, options=TINY | {"target_positive_samples": 2000})
    process = started(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if "Making positive samples" in line:
            break
    began = time.monotonic()
    process.terminate()
    process.communicate(timeout=10)
    assert time.monotonic() - began < 2
