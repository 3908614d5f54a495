"""Images of imported courses: each at the path that it had in what was imported."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from flask import Response

from app import context
from app.http.access import CLIENT
from app.http.answers import Answer
from app.http.limits import UNCOUNTED
from app.http.ranges import send_stored
from app.surfaces import MANAGEMENT, SurfaceBlueprint
from models import curricula, curriculum_assets
from models.errors import NotFound

blueprint = SurfaceBlueprint("curriculum_assets", surface=MANAGEMENT, description="Images of courses")

# A drawing may hold scripts, and is somebody else's: opened as a page of ours it may do nothing but look.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_OURS = re.compile(r"/api/curriculum/[^/]+/assets/.+", re.DOTALL)

IMAGE = Answer(
    media_types=("image/avif", "image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp"),
    description="The image",
    headers={"ETag": "The same bytes have the same"},
)


@blueprint.endpoint(
    "/api/curriculum/<curriculum_id>/assets/<path:path>",
    access=CLIENT,
    # A page of a course shows dozens at once.
    limit=UNCOUNTED,
    answers={200: IMAGE, 206: replace(IMAGE, description="The part that `Range` asks for")},
    refuses=(412, 416),
)
def get_image(curriculum_id: str, path: str) -> Response:
    """An image of an imported course, with byte ranges; the course's assets name it as ``url``."""
    here = context.current()
    with here.database.reading() as session:
        found = curriculum_assets.find(session, curriculum_id, path)
        if found is None:
            curricula.get(session, curriculum_id)
            raise NotFound(f"Curriculum {curriculum_id} has no image {path!r}.")
    # Whatever its path, a name that a header can hold.
    name = re.sub(r"[^\w.-]", "_", posixpath.basename(path))
    try:
        response = send_stored(
            here.files.path(found.file_name), name=name, media_type=found.media_type, etag=found.file_name
        )
    except FileNotFoundError:
        raise NotFound(f"The file of image {path!r} is gone; import curriculum {curriculum_id} again.") from None
    if "Content-Type" in response.headers:
        # Without the charset that is added for XML: a drawing says its own.
        response.headers["Content-Type"] = found.media_type
    # Imported again, the course may have another image there.
    response.cache_control.max_age = None
    response.cache_control.no_cache = True
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def with_urls(extra: dict[str, Any], curriculum_id: str, kept: Collection[str]) -> dict[str, Any]:
    """What a topic was sent with; of its assets those images have a ``url`` that are ``kept``.

    A ``url`` of ours that came back with the course, or with another one, says nothing.
    """
    assets = extra.get("assets")
    if not isinstance(assets, list):
        return extra
    return extra | {"assets": [_with_url(each, curriculum_id, kept) for each in assets]}


def _with_url(asset: Any, curriculum_id: str, kept: Collection[str]) -> Any:
    if not isinstance(asset, dict):
        return asset
    shown = {name: value for name, value in asset.items() if name != "url" or not _OURS.fullmatch(str(value))}
    target = asset.get("target")
    if asset.get("kind") == "image" and isinstance(target, str) and target in kept:
        shown["url"] = f"/api/curriculum/{curriculum_id}/assets/{quote(target)}"
    return shown
