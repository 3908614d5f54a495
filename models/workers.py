"""The register of worker processes: who is alive, what each can do, what it does now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Double, Table, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.types import Text

from models.base import Base

# A worker says every 3 s that it lives; a long pause of the machine may cost a few of these.
HEARTBEAT_SECONDS = 3.0
ALIVE_SECONDS = 15.0


class Worker(Base):
    """One worker process. ``engines`` maps what it has loaded to the revision.

    ``cpu_percent`` is of one core, since the heartbeat before; ``gpu`` (None without one) has ``uuid``,
    ``name``, ``memory_total_bytes``, ``memory_used_bytes`` and ``utilization_percent``.
    """

    __tablename__ = "workers"

    node: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    lanes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    engines: Mapped[dict[str, Any]]
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    cpu_percent: Mapped[float | None] = mapped_column(Double)
    gpu: Mapped[dict[str, Any] | None]
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


def beat(
    session: Session,
    node: str,
    *,
    current_unit: str | None,
    memory_bytes: int,
    cpu_percent: float | None = None,
    gpu: dict[str, Any] | None = None,
) -> bool:
    """Whether the worker is known, which still lives and uses this (as ``Worker`` has it)."""
    values = {
        "heartbeat_at": func.now(),
        "current_unit": current_unit,
        "memory_bytes": memory_bytes,
        "cpu_percent": cpu_percent,
        "gpu": gpu,
    }
    known = update(Worker).where(Worker.node == node).values(**values).returning(Worker.node)
    return session.scalar(known) is not None


def leave(session: Session, node: str) -> None:
    """The worker stops; nothing is submitted for it any more. Its row stays: what it could speak is still known."""
    session.execute(update(Worker).where(Worker.node == node).values(draining=True))


def forget_old(session: Session) -> int:
    """Removes workers that have not been heard of for a day; how many there were."""
    return len(session.scalars(delete(Worker).where(_of_long_ago()).returning(Worker.node)).all())


def count_old(session: Session) -> int:
    """How many ``forget_old`` would remove."""
    return session.scalar(select(func.count()).where(_of_long_ago())) or 0


def _of_long_ago() -> ColumnElement[bool]:
    return Worker.heartbeat_at < func.now() - timedelta(days=1)


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
