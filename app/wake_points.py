"""What a threshold means for a detector: false accepts an hour and misses, as its report measured them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def operating_point(report: Mapping[str, Any], threshold: float) -> dict[str, Any] | None:
    """What happens at a threshold: as it was measured, or by the report's curve; None where it has none.

    Between two points of the curve it is at most the false accepts of the one below, and at most the misses of the one
    above: both are told. ``bound_per_hour`` is exceeded with a chance of 1 in 20 only.
    """
    delivered: dict[str, Any] | None = report.get("operating_point")
    if delivered and delivered["threshold"] == threshold:
        return delivered
    curve = sorted(report.get("det") or (), key=lambda point: point["threshold"])
    if not curve:
        return None
    below = next((point for point in reversed(curve) if point["threshold"] <= threshold), curve[0])
    above = next((point for point in curve if point["threshold"] >= threshold), curve[-1])
    misses = {name.removeprefix("misses_"): value for name, value in above.items() if name.startswith("misses_")}
    if threshold > curve[-1]["threshold"]:
        # Beyond all that was measured, nothing is promised to be heard.
        misses = dict.fromkeys(misses, 1.0)
    return {
        "threshold": threshold,
        "per_hour": below["false_accepts_per_hour"],
        "events": below["events"],
        "hours": report.get("test_hours", 0.0),
        "bound_per_hour": below["bound_per_hour"],
        "misses": misses,
    }
