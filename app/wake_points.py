"""What a threshold means for a detector: false accepts an hour and misses, as its report measured them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

CONFIDENCE = 0.95


def operating_point(report: Mapping[str, Any], threshold: float) -> dict[str, Any] | None:
    """What happens at a threshold, by the report's curve; None where it has none.

    Between two points of the curve it is at most the false accepts of the one below, and at most the misses of the one
    above: both are told. ``bound_per_hour`` is exceeded with a chance of 1 in 20 only.
    """
    curve = sorted(report.get("det") or (), key=lambda point: point["threshold"])
    if not curve:
        return None
    below = next((point for point in reversed(curve) if point["threshold"] <= threshold), curve[0])
    above = next((point for point in curve if point["threshold"] >= threshold), curve[-1])
    misses = {name.removeprefix("misses_"): value for name, value in above.items() if name.startswith("misses_")}
    if threshold > curve[-1]["threshold"]:
        # Beyond all that was measured, nothing is promised to be heard.
        misses = dict.fromkeys(misses, 1.0)
    hours, per_hour = float(report.get("test_hours") or 0.0), float(below["false_accepts_per_hour"])
    events = round(per_hour * hours)
    return {
        "threshold": threshold,
        "per_hour": per_hour,
        "events": events,
        "hours": hours,
        "bound_per_hour": round(bound_per_hour(events, hours), 4) if hours else None,
        "misses": misses,
    }


def bound_per_hour(events: int, hours: float) -> float:
    """The rate that is exceeded with 1 - ``CONFIDENCE`` only, given so many events in so many hours (Garwood 1936)."""
    low, high = 0.0, events + 10 * math.sqrt(events + 1) + 10
    # The mean at which so few events have a chance of 1 in 20: the sum falls as the mean grows.
    for _ in range(60):
        mean = (low + high) / 2
        low, high = (mean, high) if _at_most(events, mean) > 1 - CONFIDENCE else (low, mean)
    return high / hours


def _at_most(events: int, mean: float) -> float:
    """The chance of at most so many events, of a Poisson distribution."""
    return math.fsum(math.exp(number * math.log(mean) - mean - math.lgamma(number + 1)) for number in range(events + 1))
