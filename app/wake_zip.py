"""A model to be taken along: its files in one zip, named after the word, with what is known of it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Response, request

from app import context
from app.http.offload import offload
from app.wake_points import operating_point
from models.base import iso
from models.errors import NotFound
from models.files import FileStore
from models.wake_models import WakeModel

# Behind the word; what a detector of ours opens is added where none of these is the same file.
_ENDINGS = {
    "weights": ".pt",
    "onnx": ".onnx",
    "openwakeword": ".openwakeword.onnx",
    "det_png": ".det.png",
    "det_json": ".curves.json",
}


def send(model: WakeModel) -> Response:
    """The zip of a model.

    Raises:
        NotFound: one of its files is gone.
    """
    content = offload(_zipped, model, context.current().files)
    response = Response(content, mimetype="application/zip")
    # Old clients read the plain name, which headers can hold.
    plain = model.wake_word.encode("ascii", "replace").decode().replace("?", "_")
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{plain}.zip\"; filename*=UTF-8''{quote(model.wake_word)}.zip"
    )
    # Its times are the model's: of one model and threshold every zip is the same.
    response.add_etag()
    response.make_conditional(request)
    return response


def metadata(model: WakeModel) -> dict[str, Any]:
    """All that is known of a model, for whoever runs it elsewhere."""
    names = _names(model)
    return {
        "id": model.name,
        "wake_word": model.wake_word,
        "created_at": iso(model.created_at),
        **model.report,
        # As they were set since.
        "threshold": model.threshold,
        "operating_point": operating_point(model.report, model.threshold),
        "shapes": {names[role]: shape for role, shape in model.report.get("shapes", {}).items() if role in names},
        "files": names,
    }


def _names(model: WakeModel) -> dict[str, str]:
    found = {role: model.wake_word + ending for role, ending in _ENDINGS.items() if role in model.files}
    detector = model.files.get("detector")
    if detector and detector["file"] not in {model.files[role]["file"] for role in found}:
        found["detector"] = f"{model.wake_word}.detector{Path(detector.get('name', '')).suffix}"
    return found


def _zipped(model: WakeModel, store: FileStore) -> bytes:
    about = json.dumps(metadata(model), ensure_ascii=False, indent=1).encode()
    sink = io.BytesIO()
    # Weights do not get smaller.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        names = _names(model)
        archive.writestr(_entry(model, f"{model.wake_word}.json"), about)
        for role, name in names.items():
            try:
                archive.writestr(_entry(model, name), store.path(model.files[role]["file"]).read_bytes())
            except FileNotFoundError:
                raise NotFound(f"The file {name!r} of wake-word model {model.name} is gone; train it again.") from None
    return sink.getvalue()


def _entry(model: WakeModel, name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, model.created_at.timetuple()[:6])
    entry.external_attr = 0o644 << 16
    return entry
