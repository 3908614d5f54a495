"""What was counted, read again: all of it, that of the last minutes, that since a moment; shares and quantiles."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import redis_keys
from models.base import utc_now
from models.metrics import families
from models.metrics.counting import Series
from models.metrics.families import Histogram
from models.metrics.hours import MetricHour

Counts = Mapping[Series, int]

# How many finished hours are written anew each time: a process that could not write for a while counts in the minute
# in which it happened.
_HOURS_ANEW = 4


def total(client: redis.Redis) -> Counts:
    """Everything that was ever counted."""
    return _read(client, [redis_keys.METRICS_TOTAL])


def lately(client: redis.Redis, minutes: int) -> Counts:
    """What was counted in the last ``minutes`` (at most 300) and in the one that has begun."""
    now = int(time.time() // 60)
    return _between(client, now - minutes, now + 1)


def requests_since(session: Session, client: redis.Redis, since: datetime) -> int:
    """How many requests were answered since a moment, which counts from its hour where it is long ago."""
    now = utc_now()
    # What Redis still has by the minute.
    recent = max(since, _hour(now) - timedelta(hours=_HOURS_ANEW))
    counted = sum(
        value for series, value in _between(client, _minute(recent), _minute(now) + 1).items() if _is_request(series)
    )
    if since < recent:
        older = select(func.coalesce(func.sum(MetricHour.value), 0)).where(
            MetricHour.hour >= _hour(since),
            MetricHour.hour < recent,
            MetricHour.series.startswith(json.dumps([families.REQUESTS.name])[:-1], autoescape=True),
        )
        counted += int(session.scalar(older) or 0)
    return counted


def keep_hours(session: Session, client: redis.Redis) -> int:
    """Writes the finished hours of which Redis has every minute into Postgres; how many figures these were.

    Safe to repeat: an hour's figures are written as they are now, and never lower than they were.
    """
    this_hour = _hour(utc_now())
    rows: list[dict[str, Any]] = []
    for back in range(1, _HOURS_ANEW + 1):
        hour = this_hour - timedelta(hours=back)
        counted = _between(client, _minute(hour), _minute(hour) + 60)
        rows += [{"hour": hour, "series": json.dumps(series), "value": value} for series, value in counted.items()]
    for start in range(0, len(rows), 1000):
        new = insert(MetricHour).values(rows[start : start + 1000])
        kept = func.greatest(MetricHour.value, new.excluded.value)
        session.execute(
            new.on_conflict_do_update(index_elements=[MetricHour.hour, MetricHour.series], set_={"value": kept})
        )
    return len(rows)


def added(counts: Counts, name: str, **wanted: Sequence[str]) -> int:
    """The sum of a counter over all of its labels but those ``wanted`` (each one of these values)."""
    labels = next(family.labels for family in families.COUNTERS if family.name == name)
    places = {labels.index(label) + 2: values for label, values in wanted.items()}
    return sum(
        value
        for series, value in counts.items()
        if series[0] == name and all(series[place] in values for place, values in places.items())
    )


def distribution(counts: Counts, family: Histogram) -> tuple[list[int], float]:
    """How many there were in each bucket of a histogram (the last is infinity), and their seconds, over all labels."""
    bounds = [*map(str, family.bounds), "+Inf"]
    buckets, seconds = [0] * len(bounds), 0.0
    for series, value in counts.items():
        if series[0] == family.name:
            if series[1] == "sum":
                seconds += value * families.MILLI
            elif series[1] in bounds:
                buckets[bounds.index(series[1])] += value
    return buckets, seconds


def quantile(buckets: Sequence[int], bounds: Sequence[float], share: float) -> float | None:
    """The seconds within which that share lay, between its bucket's bounds as if spread evenly; None of nothing.

    Of those beyond the last bound only that bound is known.
    """
    rank = share * sum(buckets)
    if not rank:
        return None
    below = 0
    for number, count in enumerate(buckets[:-1]):
        if below + count >= rank:
            lower = bounds[number - 1] if number else 0.0
            return lower + (bounds[number] - lower) * (rank - below) / count
        below += count
    return bounds[-1]


def _is_request(series: Series) -> bool:
    return series[0] == families.REQUESTS.name


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _minute(moment: datetime) -> int:
    return math.floor(moment.timestamp() / 60)


def _between(client: redis.Redis, first: int, end: int) -> Counts:
    return _read(client, [redis_keys.metrics_minute(minute) for minute in range(first, end)])


def _read(client: redis.Redis, keys: Iterable[str]) -> Counts:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hgetall(key)
        found: list[dict[bytes, bytes]] = pipe.execute()
    counts: Counter[Series] = Counter()
    for name, value in _fields(found):
        counts[tuple(json.loads(name))] += int(value)
    return counts


def _fields(found: list[dict[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for fields in found:
        yield from fields.items()
