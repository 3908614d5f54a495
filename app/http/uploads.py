"""Forms: their fields, and the files that come in them, how large these may be and where workers find them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import request
from marshmallow import missing
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from app import context
from app.http.parsing import BodyParser, refuse_bad_text
from models.errors import Invalid

MULTIPART = "multipart/form-data"
# Beside the files: the other fields, and what stands between them.
_FORM_BYTES = 2**20
_FIELDS_BYTES = 16 * 2**20
_COPY_BYTES = 2**18


class FormParser(BodyParser):
    """Reads the fields of a form; a repeated one counts once, and those that nobody knows are passed over."""

    def load_form(self, req: Any, schema: Any) -> Any:
        """The fields as texts.

        Raises:
            Invalid: it is no form, or holds text that cannot be stored.
        """
        if req.mimetype != MULTIPART:
            raise Invalid(
                f"The body must be a form ({MULTIPART}); Content-Type is {req.content_type or 'not given'!r}."
            )
        found = {name: value for name, value in req.form.items() if name in schema.fields}
        for name, value in found.items():
            refuse_bad_text(value, name)
        return found or missing


def allow(files: int = 1) -> None:
    """Lets a form be as large as so many files may be; one that is repeated under a key is read whole and may not."""
    if request.method == "POST" and request.mimetype == MULTIPART and "Idempotency-Key" not in request.headers:
        request.max_content_length = files * most_bytes() + _FORM_BYTES
        # Of the fields that are no files: a list of what is in them may be long.
        request.max_form_memory_size = _FIELDS_BYTES


def most_bytes() -> int:
    """How large a file may be."""
    return context.current().settings.max_upload_mb * 2**20


def sent(name: str) -> FileStorage:
    """The file of the request that has this name.

    Raises:
        Invalid: there is none.
    """
    found = request.files.get(name)
    if found is None:
        raise Invalid(
            f"{name}: a file is needed, as a part of a body of type {MULTIPART}", fields={name: ["is missing"]}
        )
    return found


def keep(sent: FileStorage, target: Path, most: int, name: str) -> None:
    """The file as ``target``, there durably or not at all. It takes a while: keep off the event loop.

    Raises:
        RequestEntityTooLarge: it has more than ``most`` bytes.
        Invalid: it has none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    try:
        with target.open("xb") as file:
            while piece := sent.stream.read(_COPY_BYTES):
                size += len(piece)
                if size > most:
                    raise RequestEntityTooLarge(f"{name}: the file is larger than {most >> 20} MiB")
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if not size:
            raise Invalid(f"{name}: the file is empty")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
