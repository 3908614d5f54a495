"""What is told of a model: its operating point, its curve, which near words fire, and the figures people expect."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workers.wakeword import evaluation
from workers.wakeword.evaluation import RATES, Alarms, Scores

# A window of other speech is one answer of the detector; so many of each are compared with the word.
_OTHERS_FOR_EACH = 4
_NEAR_SHOWN = 40


@dataclass(frozen=True)
class Spoken:
    """Clips that were scored: what was said, by which family, and the highest smoothed score."""

    texts: Sequence[str]
    families: Sequence[str]
    scores: Scores


@dataclass(frozen=True)
class Findings:
    """All that is known of a detector: alarms of validation and test, and the test's clips under each condition."""

    val_alarms: Alarms
    test_alarms: Alarms
    said: dict[str, Spoken]
    nearly: Spoken


def threshold(findings: Findings, target_per_hour: float) -> float:
    """The operating point: from validation alone."""
    return round(evaluation.threshold_for(findings.val_alarms, target_per_hour), 4)


def told(findings: Findings, at: float, target_per_hour: float) -> dict[str, Any]:
    """The parts of a report that follow from the findings and the threshold ``at``."""
    said = {name: spoken.scores for name, spoken in findings.said.items()}
    listened = findings.test_alarms
    points = [
        evaluation.operating_point(
            listened, said, threshold=evaluation.threshold_for(findings.val_alarms, rate), target_per_hour=rate
        )
        for rate in RATES
    ]
    chosen = evaluation.operating_point(listened, said, threshold=at, target_per_hour=target_per_hour)
    return {
        "threshold": at,
        "metrics": _metrics(findings, at),
        "operating_point": asdict(chosen),
        "operating_points": [asdict(point) for point in points],
        "conditions": {name: _condition(spoken, at) for name, spoken in findings.said.items()},
        "families": _families(findings, at),
        "near_words": _near(findings.nearly, at),
        "det": evaluation.curve(listened, said),
        "validation_hours": round(findings.val_alarms.hours, 4),
        "test_hours": round(listened.hours, 4),
    }


def _condition(spoken: Spoken, at: float) -> dict[str, Any]:
    missed, clips = int((spoken.scores < at).sum()), len(spoken.scores)
    share = missed / clips if clips else 0.0
    bound = evaluation.share_bound(missed, clips) if clips else 1.0
    return {"clips": clips, "missed": missed, "misses": round(share, 4), "bound": round(bound, 4)}


def _families(findings: Findings, at: float) -> dict[str, dict[str, Any]]:
    """Of each family of voices, how many of its clips are heard, all conditions together."""
    clips: defaultdict[str, list[bool]] = defaultdict(list)
    for spoken in findings.said.values():
        for family, score in zip(spoken.families, spoken.scores, strict=True):
            clips[family].append(bool(score >= at))
    return {family: {"clips": len(hits), "recall": round(sum(hits) / len(hits), 4)} for family, hits in clips.items()}


def _near(nearly: Spoken, at: float) -> list[dict[str, Any]]:
    """How often each near word fires, those that do it most first."""
    clips: defaultdict[str, list[float]] = defaultdict(list)
    for text, score in zip(nearly.texts, nearly.scores, strict=True):
        clips[text].append(float(score))
    rows: list[dict[str, Any]] = [
        {
            "text": text,
            "fired": sum(score >= at for score in scores),
            "of": len(scores),
            "highest": round(max(scores), 4),
        }
        for text, scores in clips.items()
    ]
    return sorted(rows, key=lambda row: (row["fired"] / row["of"], row["highest"]), reverse=True)[:_NEAR_SHOWN]


def _metrics(findings: Findings, at: float) -> dict[str, float]:
    """Accuracy, precision, recall and F1 over the word under every condition, what is nearly it, and other speech."""
    word = np.concatenate([spoken.scores for spoken in findings.said.values()] or [np.zeros(0)])
    rows = np.concatenate([np.zeros(0), *findings.test_alarms.rows])
    places = np.linspace(0, max(0, len(rows) - 1), min(len(rows), _OTHERS_FOR_EACH * max(1, len(word)))).astype(int)
    rest = np.concatenate((findings.nearly.scores, rows[places]))
    hits, false = int((word >= at).sum()), int((rest >= at).sum())
    missed, left = len(word) - hits, len(rest) - false
    return {
        "accuracy": _share(hits + left, len(word) + len(rest)),
        "f1_score": _share(2 * hits, 2 * hits + false + missed),
        "precision": _share(hits, hits + false),
        "recall": _share(hits, len(word)),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def det_png(word: str, points: Sequence[dict[str, float]], at: dict[str, Any], hours: float) -> bytes:
    """The DET curve as a picture: false accepts an hour against misses, and the operating point."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    names = {"clean": "clean", "noise_10_db": "noise at 10 dB", "far": "across a room"}
    # Nothing below one event can be seen in these hours, and a logarithm has no zero.
    least = 0.5 / hours if hours else 0.1
    for name, label in names.items():
        key = f"misses_{name}"
        line = [(max(point["false_accepts_per_hour"], least), point[key] * 100) for point in points if key in point]
        if line:
            axes.step(*zip(*line, strict=True), where="post", label=label)
    if "clean" in at["misses"]:
        axes.plot(max(at["per_hour"], least), at["misses"]["clean"] * 100, "ko", label="as delivered")
    axes.set_xscale("log")
    axes.set_ylim(0, 50)
    axes.set_xlabel(f"false accepts an hour, of {hours:.2f} h of other speech")
    axes.set_ylabel("misses, %")
    axes.set_title(f"“{word}”")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
