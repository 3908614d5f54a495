"""The register of worker processes: who is alive, what each can do, what it does now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import BigInteger, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.types import Text

from models.base import Base

# A worker says every 3 s that it lives; a long pause of the machine may cost a few of these.
HEARTBEAT_SECONDS = 3.0
ALIVE_SECONDS = 15.0


class Worker(Base):
    """One worker process. ``engines`` maps what it has loaded to the revision."""

    __tablename__ = "workers"

    node: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    lanes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    engines: Mapped[dict[str, Any]]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    current_unit: Mapped[str | None]
    draining: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]


@dataclass(frozen=True)
class EngineState:
    """What the register knows of an engine; ``alive`` while a worker that has it takes work."""

    revision: str
    alive: bool


@dataclass(frozen=True)
class Presence:
    """What a worker says of itself when it starts."""

    node: str
    host: str
    pid: int
    device: str
    lanes: Sequence[str]
    engines: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0


def register(session: Session, presence: Presence) -> None:
    """The worker is ready; a former life of the same node is replaced."""
    values = {
        "node": presence.node,
        "host": presence.host,
        "pid": presence.pid,
        "device": presence.device,
        "lanes": list(presence.lanes),
        "engines": dict(presence.engines),
        "memory_bytes": presence.memory_bytes,
        "current_unit": None,
        "draining": False,
        "started_at": func.now(),
        "heartbeat_at": func.now(),
    }
    session.execute(insert(Worker).values(**values).on_conflict_do_update(index_elements=[Worker.node], set_=values))


def beat(session: Session, node: str, *, current_unit: str | None, memory_bytes: int) -> None:
    """The worker still lives."""
    session.execute(
        update(Worker)
        .where(Worker.node == node)
        .values(heartbeat_at=func.now(), current_unit=current_unit, memory_bytes=memory_bytes)
    )


def leave(session: Session, node: str) -> None:
    """The worker stops; nothing is submitted for it any more. Its row stays: what it could speak is still known."""
    session.execute(update(Worker).where(Worker.node == node).values(draining=True))


def forget_old(session: Session) -> None:
    """Removes workers that have not been heard of for a day."""
    session.execute(delete(Worker).where(Worker.heartbeat_at < func.now() - timedelta(days=1)))


def engines(session: Session) -> dict[str, EngineState]:
    """Every engine some worker had lately; of its revision the newest worker's word counts."""
    found: dict[str, EngineState] = {}
    for loaded, alive_now in session.execute(_engines_statement()):
        for name, revision in loaded.items():
            before = found.get(name)
            found[name] = EngineState(revision, alive_now or (before is not None and before.alive))
    return found


@cache
def _engines_statement() -> Any:
    rows = cast(Table, Worker.__table__).c
    fresh = rows.heartbeat_at > func.now() - timedelta(seconds=ALIVE_SECONDS)
    return select(rows.engines, fresh & ~rows.draining).order_by(rows.started_at)


def alive(session: Session) -> list[Worker]:
    """The workers that were heard of in the last ``ALIVE_SECONDS``, by name."""
    fresh = Worker.heartbeat_at > func.now() - timedelta(seconds=ALIVE_SECONDS)
    return list(session.scalars(select(Worker).where(fresh).order_by(Worker.node)))


def able(session: Session, lane: str) -> int:
    """How many live workers consume a lane."""
    return session.scalar(_able_statement(), {"wanted": [lane]}) or 0


@cache
def _able_statement() -> Any:
    fresh = Worker.heartbeat_at > func.now() - timedelta(seconds=ALIVE_SECONDS)
    serves = Worker.lanes.contains(bindparam("wanted", type_=ARRAY(Text)))
    return select(func.count()).where(fresh, ~Worker.draining, serves)
