"""What administrators choose for the whole site while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.gateway.tables import SiteSetting

# What there is to choose, and what counts until somebody did.
DEFAULTS: Mapping[str, Any] = {"site_name": "Voiceworks"}


def chosen(session: Session) -> dict[str, Any]:
    """What somebody chose, by name."""
    rows = session.execute(select(SiteSetting.name, SiteSetting.value).order_by(SiteSetting.name))
    return {name: value["value"] for name, value in rows}


def everything(session: Session) -> dict[str, Any]:
    """Every setting as it counts now."""
    return {**DEFAULTS, **{name: value for name, value in chosen(session).items() if name in DEFAULTS}}


def choose(session: Session, settings: Mapping[str, Any]) -> None:
    """Keeps what was chosen; what is not named stays."""
    rows = [{"name": name, "value": {"value": value}} for name, value in sorted(settings.items())]
    if rows:
        statement = insert(SiteSetting)
        kept = {"value": statement.excluded.value, "updated_at": func.now()}
        session.execute(statement.on_conflict_do_update(index_elements=[SiteSetting.name], set_=kept), rows)


def forget(session: Session, name: str) -> None:
    """The default counts again."""
    session.execute(delete(SiteSetting).where(SiteSetting.name == name))
