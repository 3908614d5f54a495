"""What administrators choose for the whole site."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from app import context
from app.http.access import ADMIN
from app.http.answers import Answer, Shown
from app.http.parsing import Text
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.gateway import site

blueprint = SurfaceBlueprint("site_config", surface=GATEWAY, description="What counts for the whole site")


class SiteSettings(Schema):
    """What changes; what is not named stays."""

    site_name = Text(minimum=1, maximum=100, spoken=True)


class SiteSettingsShown(Shown):
    """Every setting as it counts now."""

    site_name = fields.String()


SETTINGS = Answer(schema=SiteSettingsShown)


@blueprint.endpoint("/api/site-config", access=ADMIN, answers={200: SETTINGS})
def get() -> dict[str, Any]:
    """Every setting."""
    with context.current().database.reading() as session:
        return site.everything(session)


@blueprint.endpoint("/api/site-config", access=ADMIN, methods=("PUT",), answers={200: SETTINGS})
@blueprint.arguments(SiteSettings)
def change(body: dict[str, Any]) -> dict[str, Any]:
    """Changes settings."""
    with context.current().database.transaction() as session:
        site.choose(session, body)
        return site.everything(session)
