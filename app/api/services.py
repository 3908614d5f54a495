"""Outside services: which there are, how they are reached, whether they answer. Administrators alone change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields
from sqlalchemy.orm import Session

from app import context
from app.http.access import ADMIN, OPERATOR
from app.http.answers import MESSAGE, Answer, Shown
from app.http.offload import offload
from app.http.parsing import Flag, Paging, Text, one_of
from app.surfaces import GATEWAY, SurfaceBlueprint
from app.tools import catalogue
from models.base import iso
from models.errors import Invalid
from models.gateway import services
from models.gateway.services import Look
from models.gateway.tables import Service, ServiceCheck
from models.gateway.vault import Unreadable
from workers.clients.looking import Found, look_at
from workers.clients.networks import Networks
from workers.clients.service import LONGEST_SECONDS
from workers.clients.types import kind_of, types
from workers.errors import BadInput

blueprint = SurfaceBlueprint("services", surface=GATEWAY, description="Outside services")

_NAME: dict[str, Any] = {"minimum": 1, "maximum": 100, "spoken": True}
_CONFIG = "`verify_tls`, `timeout_seconds`, and what the type reads (docs/gateway.md)"


class NewService(Schema):
    """A service. ``api_key`` is stored encrypted and never shown."""

    name = Text(required=True, **_NAME)
    type = Text(required=True, maximum=50, validate=one_of(sorted(types())))
    url = Text(required=True, minimum=1, maximum=2000)
    api_key = Text(load_default=None, allow_none=True, maximum=4000)
    enabled = Flag(load_default=True)
    config = fields.Dict(keys=fields.String(), load_default=dict, metadata={"description": _CONFIG})


class ChangedService(Schema):
    """What changes of a service; what is not named stays, the key too. With null it has none any more."""

    name = Text(**_NAME)
    type = Text(maximum=50, validate=one_of(sorted(types())))
    url = Text(minimum=1, maximum=2000)
    api_key = Text(allow_none=True, maximum=4000)
    enabled = Flag()
    config = fields.Dict(keys=fields.String(), metadata={"description": _CONFIG})


class ServiceShown(Shown):
    """A service. ``is_healthy`` is what the last look found, false before the first."""

    promised = frozenset(("id", "name", "type", "url", "enabled", "is_healthy", "last_check"))

    id = fields.Integer()
    name = fields.String()
    type = fields.String()
    url = fields.String()
    enabled = fields.Boolean()
    is_healthy = fields.Boolean()
    last_check = fields.DateTime(allow_none=True)
    response_time_ms = fields.Integer(allow_none=True)
    problem = fields.String(allow_none=True)
    has_api_key = fields.Boolean()
    config = fields.Dict()
    created_at = fields.DateTime()
    updated_at = fields.DateTime()


class Tested(Shown):
    """Whether a service answered as it should."""

    success = fields.Boolean()
    message = fields.String()
    response_time_ms = fields.Integer()


class Check(Shown):
    """A look at a service."""

    timestamp = fields.DateTime()
    is_healthy = fields.Boolean()
    response_time_ms = fields.Integer(allow_none=True)
    problem = fields.String(allow_none=True)


SERVICE = Answer(schema=ServiceShown)


@blueprint.endpoint("/api/services", access=OPERATOR, answers={200: Answer(schema=ServiceShown, many=True)})
def everything() -> list[dict[str, Any]]:
    """All services, oldest first."""
    with context.current().database.reading() as session:
        return [shown(service) for service in services.everything(session)]


@blueprint.endpoint("/api/services", access=ADMIN, methods=("POST",), answers={201: SERVICE}, refuses=(409,))
@blueprint.arguments(NewService)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """A new service."""
    _check_url(body["url"])
    with context.current().database.transaction() as session:
        check_config(session, body["type"], body["config"])
        return shown(services.create(session, _stored(body))), 201


@blueprint.endpoint("/api/services/<int:service_id>", access=OPERATOR, answers={200: SERVICE})
def get(service_id: int) -> dict[str, Any]:
    """A service."""
    with context.current().database.reading() as session:
        return shown(services.get(session, service_id))


@blueprint.endpoint(
    "/api/services/<int:service_id>", access=ADMIN, methods=("PUT",), answers={200: SERVICE}, refuses=(409,)
)
@blueprint.arguments(ChangedService)
def change(body: dict[str, Any], service_id: int) -> dict[str, Any]:
    """Changes a service."""
    if "url" in body:
        _check_url(body["url"])
    with context.current().database.transaction() as session:
        known = services.get(session, service_id)
        if body.keys() & {"config", "type"}:
            check_config(session, body.get("type", known.type), body.get("config", known.config), but=service_id)
        return shown(services.change(session, service_id, _stored(body)))


@blueprint.endpoint("/api/services/<int:service_id>", access=ADMIN, methods=("DELETE",), answers={200: MESSAGE})
def remove(service_id: int) -> dict[str, str]:
    """Removes a service."""
    with context.current().database.transaction() as session:
        services.remove(session, service_id)
    return {"message": f"Service {service_id} was removed."}


@blueprint.endpoint(
    "/api/services/<int:service_id>/test", access=OPERATOR, methods=("POST",), answers={200: Answer(schema=Tested)}
)
def test(service_id: int) -> dict[str, Any]:
    """Asks the service now, for ten seconds at most; what is found is its health from then on."""
    here = context.current()
    with here.database.reading() as session:
        service = services.get(session, service_id)
    found = _looked(here, service)
    with here.database.transaction() as session:
        services.looked(
            session, service.id, Look(found.healthy, found.response_time_ms, found.problem), url=service.url
        )
    return {
        "success": found.healthy,
        "message": found.problem or "Connection successful",
        "response_time_ms": found.response_time_ms,
    }


@blueprint.endpoint(
    "/api/services/<int:service_id>/health", access=OPERATOR, answers={200: Answer(schema=Check, many=True)}
)
@blueprint.arguments(Paging, location="query")
def health(query: dict[str, int], service_id: int) -> list[dict[str, Any]]:
    """Looks at the service, newest first; about a day of them is kept."""
    with context.current().database.reading() as session:
        return [_check_shown(check) for check in services.history(session, service_id, **query)]


def shown(service: Service) -> dict[str, Any]:
    """A service as every answer shows one."""
    return {
        "id": service.id,
        "name": service.name,
        "type": service.type,
        "url": service.url,
        "enabled": service.enabled,
        "is_healthy": service.is_healthy is True,
        "last_check": iso(service.last_check),
        "response_time_ms": service.response_time_ms,
        "problem": service.problem if service.last_check else "Nobody looked at it yet.",
        "has_api_key": service.sealed_key is not None,
        "config": service.config,
        "created_at": iso(service.created_at),
        "updated_at": iso(service.updated_at),
    }


def _check_shown(check: ServiceCheck) -> dict[str, Any]:
    return {
        "timestamp": iso(check.at),
        "is_healthy": check.healthy,
        "response_time_ms": check.response_time_ms,
        "problem": check.problem,
    }


def _looked(here: context.Context, service: Service) -> Found:
    try:
        key = services.key_of(service, here.settings.secret_key)
    except Unreadable as fault:
        return Found(False, 0, fault.message)
    return look_at(service, key=key, networks=Networks(here.settings.service_networks))


def _stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row; the key as it is stored."""
    row = dict(body)
    if "api_key" in row:
        key = row.pop("api_key")
        row["sealed_key"] = services.seal_key(key, context.current().settings.secret_key) if key else None
    return row


def _check_url(url: str) -> None:
    # A name is looked up, which may take a resolver its time.
    try:
        offload(Networks(context.current().settings.service_networks).check, url)
    except BadInput as fault:
        raise Invalid(fault.message, code=fault.code) from None


def check_config(session: Session, type_name: str, config: Mapping[str, Any], *, but: int | None = None) -> None:
    """Refuses a configuration that its type cannot read, or that declares what is another's."""
    if not isinstance(config.get("verify_tls", True), bool):
        raise Invalid(f"config.verify_tls: {config['verify_tls']!r} is neither true nor false")
    seconds = config.get("timeout_seconds", 1)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.1 <= seconds <= LONGEST_SECONDS:
        raise Invalid(f"config.timeout_seconds: {seconds!r} is no number from 0.1 to {LONGEST_SECONDS:g}")
    kind = kind_of(type_name)
    try:
        kind.read({name: value for name, value in config.items() if name not in ("verify_tls", "timeout_seconds")})
    except BadInput as fault:
        raise Invalid(fault.message, code=fault.code) from None
    declared = {tool.name for tool in kind.declared(config)}
    if declared:
        services.hold_names(session)
    if taken := catalogue.taken(session, declared, but=but):
        raise Invalid(f"config.tools: {', '.join(sorted(taken))} is the name of another tool already")
