"""Ids and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from models import base


def test_ids_sort_by_the_time_they_were_made() -> None:
    earlier = base.new_id()
    clock = datetime.now(UTC)
    while datetime.now(UTC) - clock < timedelta(milliseconds=2):
        pass
    assert earlier < base.new_id()


def test_ids_are_version_7_uuids_and_differ() -> None:
    ids = {base.new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert {(len(made), made[12], made[16] in "89ab") for made in ids} == {(32, "7", True)}


def test_a_prefix_stands_before_the_id() -> None:
    made = base.new_id("prefetch_")
    assert made.startswith("prefetch_")
    assert len(made) == len("prefetch_") + 32


def test_moments_are_shown_in_utc_with_a_z() -> None:
    noon_in_delhi = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert base.iso(noon_in_delhi) == "2026-01-02T06:30:00Z"
    assert base.iso(None) is None


def test_now_knows_its_zone() -> None:
    assert base.utc_now().utcoffset() == timedelta(0)
