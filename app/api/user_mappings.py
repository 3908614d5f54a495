"""People, and what they are called at outside services; administrators alone change them."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from app import context
from app.http.access import ADMIN, OPERATOR
from app.http.answers import MESSAGE, Answer, Shown
from app.http.parsing import Text
from app.surfaces import GATEWAY, SurfaceBlueprint
from models.base import iso
from models.gateway import people
from models.gateway.tables import UserMapping

blueprint = SurfaceBlueprint("user_mappings", surface=GATEWAY, description="People, and their names elsewhere")

MAX_SERVICES = 100
_NAME: dict[str, Any] = {"minimum": 1, "maximum": 200, "spoken": True}
_SERVICES: dict[str, Any] = {
    "keys": Text(minimum=1, maximum=100),
    "values": Text(maximum=320),
    "validate": validate.Length(max=MAX_SERVICES),
}


class NewMapping(Schema):
    """Somebody; who signs in by that name, or has that address, is meant."""

    canonical_name = Text(required=True, **_NAME)
    email = Text(load_default=None, allow_none=True, minimum=1, maximum=320)
    service_mappings = fields.Dict(load_default=dict, **_SERVICES)


class ChangedMapping(Schema):
    """What changes; what is not named stays."""

    canonical_name = Text(**_NAME)
    email = Text(allow_none=True, minimum=1, maximum=320)
    service_mappings = fields.Dict(**_SERVICES)


class MappingShown(Shown):
    """Somebody."""

    id = fields.Integer()
    canonical_name = fields.String()
    email = fields.String(allow_none=True)
    service_mappings = fields.Dict(keys=fields.String(), values=fields.String())
    created_at = fields.DateTime()


MAPPING = Answer(schema=MappingShown)
_PATH = "/api/users/mappings/<int:mapping_id>"


@blueprint.endpoint("/api/users/mappings", access=OPERATOR, answers={200: Answer(schema=MappingShown, many=True)})
def everybody() -> list[dict[str, Any]]:
    """Everybody, by name."""
    with context.current().database.reading() as session:
        return [shown(mapping) for mapping in people.everybody(session)]


@blueprint.endpoint("/api/users/mappings", access=ADMIN, methods=("POST",), answers={201: MAPPING}, refuses=(409,))
@blueprint.arguments(NewMapping)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Somebody new."""
    with context.current().database.transaction() as session:
        return shown(people.create(session, body)), 201


@blueprint.endpoint(_PATH, access=OPERATOR, answers={200: MAPPING})
def get(mapping_id: int) -> dict[str, Any]:
    """Somebody."""
    with context.current().database.reading() as session:
        return shown(people.get(session, mapping_id))


@blueprint.endpoint(_PATH, access=ADMIN, methods=("PUT",), answers={200: MAPPING}, refuses=(409,))
@blueprint.arguments(ChangedMapping)
def change(body: dict[str, Any], mapping_id: int) -> dict[str, Any]:
    """Changes somebody."""
    with context.current().database.transaction() as session:
        return shown(people.change(session, mapping_id, body))


@blueprint.endpoint(_PATH, access=ADMIN, methods=("DELETE",), answers={200: MESSAGE})
def remove(mapping_id: int) -> dict[str, str]:
    """Removes somebody, from every group too."""
    with context.current().database.transaction() as session:
        people.remove(session, mapping_id)
    return {"message": f"User mapping {mapping_id} was removed."}


def shown(mapping: UserMapping) -> dict[str, Any]:
    """Somebody as every answer shows them."""
    return {
        "id": mapping.id,
        "canonical_name": mapping.canonical_name,
        "email": mapping.email,
        "service_mappings": mapping.service_mappings,
        "created_at": iso(mapping.created_at),
    }
