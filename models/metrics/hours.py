"""What was counted in each hour, kept in Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class MetricHour(Base):
    """How much one series grew within the hour that begins at ``hour``. ``series`` is its field in Redis."""

    __tablename__ = "metric_hours"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    series: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


def forget_old(session: Session, days: int) -> int:
    """Removes figures of hours that are so long ago; how many there were."""
    return len(session.scalars(delete(MetricHour).where(_old(days)).returning(MetricHour.series)).all())


def count_old(session: Session, days: int) -> int:
    """How many ``forget_old`` would remove."""
    return session.scalar(select(func.count()).where(_old(days))) or 0


def _old(days: int) -> ColumnElement[bool]:
    return MetricHour.hour < func.now() - timedelta(days=days)
