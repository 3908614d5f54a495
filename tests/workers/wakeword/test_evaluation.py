"""What is told of a detector: events as it would fire, bounds as the textbooks have them, points chosen elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from workers.wakeword import evaluation, report
from workers.wakeword.evaluation import Alarms
from workers.wakeword.report import Findings, Spoken

HOP = 0.08
HOUR = round(3600 / HOP)


def listened(*peaks: float, hours: float = 1.0, apart_seconds: float = 10.0) -> Alarms:
    """Silence but for single windows with these scores."""
    row = np.zeros(round(hours * HOUR))
    for number, peak in enumerate(peaks):
        row[round((number + 1) * apart_seconds / HOP)] = peak
    return Alarms((row,), HOP)


def test_an_event_is_counted_once_in_a_refractory_time_and_again_after_it() -> None:
    near = listened(0.9, 0.9, 0.9, apart_seconds=1.0)
    assert near.events(0.5) == 2
    assert listened(0.9, 0.9, 0.9, apart_seconds=2.0).events(0.5) == 3
    assert listened(0.9, 0.4).events(0.5) == 1
    assert listened(0.9).events(0.91) == 0


def test_scores_are_smoothed_as_a_detector_smooths_them() -> None:
    assert evaluation.smoothed(np.array([0.4, 0.8, 0.0])).tolist() == pytest.approx([0.2, 0.6, 0.4])


@pytest.mark.parametrize(
    ("events", "hours", "bound"),
    # The rule of three, and exact Poisson limits from tables (one-sided, 95 %).
    [(0, 1.0, 2.996), (0, 10.0, 0.2996), (1, 1.0, 4.744), (5, 2.0, 10.513 / 2), (10, 1.0, 16.962)],
)
def test_the_bound_of_a_rate_is_the_exact_one(events: int, hours: float, bound: float) -> None:
    assert evaluation.bound_per_hour(events, hours) == pytest.approx(bound, rel=1e-3)


def test_the_bound_of_a_share_is_the_exact_one() -> None:
    # 1 - 0.05 ** (1 / 20)
    assert evaluation.share_bound(0, 20) == pytest.approx(0.1391, abs=1e-4)
    assert evaluation.share_bound(3, 3) == 1.0


def test_the_bound_holds_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0)
    true_rate, hours = 1.5, 2.0
    held = [true_rate <= evaluation.bound_per_hour(int(n), hours) for n in draws.poisson(true_rate * hours, 2000)]
    assert 0.94 < np.mean(held) <= 1.0


def test_a_threshold_lets_pass_no_more_than_the_target() -> None:
    heard = listened(*np.linspace(0.2, 0.9, 30), hours=10)
    for target in (0.3, 0.5, 1.0, 2.0):
        found = evaluation.threshold_for(heard, target)
        assert heard.events(found) <= target * 10
    assert evaluation.threshold_for(heard, 0.5) > evaluation.threshold_for(heard, 2.0)


def test_where_the_hours_are_too_few_the_threshold_lies_beyond_what_was_heard_but_not_far() -> None:
    heard = listened(*np.linspace(0.2, 0.8, 40), hours=0.4)
    found = evaluation.threshold_for(heard, 0.1)
    assert 0.8 < found < 0.97
    # Nothing was heard: nothing is known.
    assert evaluation.threshold_for(Alarms((), HOP), 0.5) == 0.5


def test_a_rate_is_supported_only_by_the_hours_that_could_show_it() -> None:
    points = evaluation.oracle_points(listened(0.6, 0.7, hours=1.5), {"clean": np.array([0.9, 0.65, 0.2, 0.95])})
    assert {point.target_per_hour: point.supported for point in points} == {
        **dict.fromkeys((10.0, 5.0, 2.0, 1.0), True),
        **dict.fromkeys((0.5, 0.2, 0.1), False),
    }
    one = next(point for point in points if point.target_per_hour == 1.0)
    assert (one.events, one.misses) == (1, {"clean": 0.25})
    none = next(point for point in points if point.target_per_hour == 0.5)
    assert (none.events, none.misses, none.bound_per_hour) == (0, {"clean": 0.5}, pytest.approx(2.996 / 1.5, rel=1e-3))


def findings() -> Findings:
    clean = Spoken(["word"] * 4, ["a", "a", "b", "b"], np.array([0.9, 0.8, 0.7, 0.1]))
    return Findings(
        val_alarms=listened(*np.linspace(0.1, 0.5, 30), hours=2),
        test_alarms=listened(0.75, 0.3, hours=1),
        said={"clean": clean},
        nearly=Spoken(["ward", "ward", "wort"], ["a"] * 3, np.array([0.8, 0.2, 0.1])),
    )


def test_the_operating_point_is_chosen_without_a_look_at_the_test() -> None:
    found = findings()
    at = report.threshold(found, 0.5)
    changed = Findings(found.val_alarms, listened(*[0.99] * 50), found.said, found.nearly)
    assert report.threshold(changed, 0.5) == at


def test_a_report_adds_up() -> None:
    told = report.told(findings(), 0.6, 0.5)
    assert told["operating_point"]["events"] == 1
    assert told["operating_point"]["misses"] == {"clean": 0.25}
    assert told["conditions"]["clean"] == {"clips": 4, "missed": 1, "misses": 0.25, "bound": pytest.approx(0.7514)}
    assert told["families"] == {"a": {"clips": 2, "recall": 1.0}, "b": {"clips": 2, "recall": 0.5}}
    assert [(row["text"], row["fired"], row["of"]) for row in told["near_words"]] == [("ward", 1, 2), ("wort", 0, 1)]
    assert told["metrics"]["recall"] == 0.75
    assert told["metrics"]["precision"] == pytest.approx(3 / (3 + 1), abs=0.1)
    rates = [point["false_accepts_per_hour"] for point in told["det"]]
    misses = [point["misses_clean"] for point in told["det"]]
    assert rates == sorted(rates, reverse=True)
    assert misses == sorted(misses)


def test_the_curve_is_a_picture() -> None:
    told = report.told(findings(), 0.6, 0.5)
    picture = report.det_png("word", told["det"], told["operating_point"], told["test_hours"])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5000
