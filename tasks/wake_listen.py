"""The body of ``wakeword.listen``: somebody waits to hear whether a word is in a file."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from models import wake_trainings
from tasks.run import Done, Work
from workers.errors import BadInput
from workers.wakeword.detector import Detection, Detector, Scorer, open_scorer
from workers.wakeword.hearing import hear

# Opened detectors that are kept: each is about a megabyte, and opening one takes longer than a short file.
KEPT = 4
_scorers: OrderedDict[str, Scorer] = OrderedDict()


def listen(work: Work) -> Done:
    """Listens to ``upload`` with the detector in the stored file ``detector``, at ``threshold`` (all in ``params``)."""
    params = work.params
    upload = wake_trainings.folders(work.process.settings.var_dir).uploads / params["upload"]
    detector = Detector(_scorer(work, params["detector"], params["model"]), threshold=params["threshold"])
    try:
        heard = hear(upload, detector, lambda seconds: work.report(0.0, f"{seconds:.0f} s heard"))
    except FileNotFoundError:
        raise BadInput("The sound that was sent is gone; send it again.", code="upload_missing") from None
    return Done(
        {
            "confidence": heard.confidence,
            "detections": [_shown(each) for each in heard.detections],
            "duration_seconds": round(heard.seconds, 3),
            "took_seconds": heard.took_seconds,
        }
    )


def _scorer(work: Work, file: str, model: str) -> Scorer:
    if file not in _scorers:
        path: Path = work.process.files.path(file)
        if not path.exists():
            raise BadInput(f"The files of wake-word model {model} are gone.", code="model_missing")
        _scorers[file] = open_scorer(path)
        if len(_scorers) > KEPT:
            _scorers.popitem(last=False)
    _scorers.move_to_end(file)
    return _scorers[file]


def _shown(found: Detection) -> dict[str, Any]:
    return {"time_seconds": round(found.time_seconds, 2), "confidence": round(found.score, 4)}
