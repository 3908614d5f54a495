"""What a training leaves behind: the model's files, checked against the net that was trained, and the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from workers.errors import WorkError
from workers.tts.onnx_session import open_session
from workers.wakeword import export, nets, report
from workers.wakeword.evaluation import SMOOTHED_OVER, Scorer
from workers.wakeword.features import Frontend
from workers.wakeword.fitting import Material
from workers.wakeword.nets import ModelType, NetOptions
from workers.wakeword.plan import Plan
from workers.wakeword.report import Findings
from workers.wakeword.scorers import open_scorer
from workers.wakeword.spectrogram_transformer import SAMPLES, SpectrogramTransformer, Whole
from workers.wakeword.spectrum import RATE_HZ
from workers.wakeword.windows import Floats, Front

# The files by what they are for.
NAMES = {
    "weights": "model.pt",
    "detector": "detector.bin",
    "onnx": "model.onnx",
    "openwakeword": "openwakeword.onnx",
    "det_png": "det.png",
    "det_json": "curves.json",
}
_COMPARED_WINDOWS = 64
_VERSIONS = ("torch", "onnx", "onnxruntime", "numpy", "livekit-wakeword", "hibari-tts")


@dataclass(frozen=True)
class Made:
    """What a training came to: what scores, its files by their roles, and how it went."""

    scorer: Scorer
    files: dict[str, bytes]
    parameters: int
    history: list[dict[str, Any]]


class _OverFrames:
    """A net over frames that are there already, as a scorer."""

    def __init__(self, net: nn.Module, front: Front) -> None:
        self._net = net.eval()
        self.window_frames = front.window_frames

    def scores(self, windows: Floats) -> Floats:
        """Probabilities (n,)."""
        with torch.no_grad():
            return nets.scores(self._net, torch.from_numpy(windows)).numpy()


def exported(
    net: nn.Module, model_type: ModelType, options: NetOptions, front: Front, material: Material
) -> tuple[Scorer, dict[str, bytes]]:
    """What a detector opens, and the files of a net by their role.

    Raises:
        WorkError: what was exported gives other scores than the net.
    """
    files = {"weights": export.saved(net, model_type, front, options)}
    if isinstance(front, SpectrogramTransformer):
        files["onnx"] = files["detector"] = export.whole_graph(Whole(front, net), SAMPLES)
        return _OverFrames(net, front), files
    assert isinstance(front, Frontend)
    head = export.head_graph(net, front)
    windows = np.concatenate((material.val_word.floats, material.val_near.floats))[:_COMPARED_WINDOWS]
    off = export.difference(net, head, windows)
    if off > export.TOLERANCE:
        raise WorkError(f"The exported net is {off:.2g} off the trained one.", code="export_differs")
    files |= {"detector": head, "onnx": export.self_contained(head, front)}
    if front.name == "embedding":
        files["openwakeword"] = export.head_graph(net, front, batch=1)
    return open_scorer(head), files


def write(out: Path, plan: Plan, made: Made, findings: Findings, about: dict[str, Any]) -> None:
    """Writes the files and, last, ``report.json``: where it is, everything is."""
    target = plan.target_false_accepts_per_hour
    told = report.told(findings, report.threshold(findings, target), target)
    picture = report.det_png(plan.wake_word, told["det"], told["operating_point"], told["test_hours"])
    curves = json.dumps({"det": told["det"], "history": made.history}, indent=1)
    files = made.files | {"det_png": picture, "det_json": curves.encode()}
    out.mkdir(exist_ok=True)
    for role, content in files.items():
        (out / NAMES[role]).write_bytes(content)
    warnings = [*about["warnings"], *_missed(told["operating_point"])]
    whole = {
        "wake_word": plan.wake_word,
        **about,
        "warnings": warnings,
        **told,
        "input": {"sample_rate_hz": RATE_HZ, "window_seconds": 2.0, "smoothing_windows": SMOOTHED_OVER},
        "trainable_params": made.parameters,
        "history": made.history,
        "sizes": {role: len(content) for role, content in files.items()},
        "versions": {name: _version(name) for name in _VERSIONS},
        "shapes": {role: _shape(files[role]) for role in ("onnx", "openwakeword") if role in files},
        "files": {role: NAMES[role] for role in files},
    }
    part = out / "report.part"
    part.write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(out / "report.json")


def _missed(point: dict[str, Any]) -> list[str]:
    """A sentence where the test shows more false accepts than the threshold was chosen for, by more than chance."""
    if point["events"] <= 1 + point["target_per_hour"] * point["hours"]:
        return []
    fired = f"In the test it fired {point['events']} times in {point['hours']:.2f} h by mistake"
    chosen = f"more than the {point['target_per_hour']:g} an hour that its threshold was chosen for"
    return [f"{fired}, {chosen}: choose a higher one by the curve."]


def _shape(model: bytes) -> dict[str, list[int]]:
    """What an ONNX file takes and gives."""
    session = open_session(model, threads=1)
    return {"input": session.get_inputs()[0].shape, "output": session.get_outputs()[0].shape}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
