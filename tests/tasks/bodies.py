"""The body of the kinds that tests register: does what the test at hand says."""

from __future__ import annotations

from collections.abc import Callable

from tasks.run import Done, Work


def _nothing(work: Work) -> Done:
    return Done({})


# Replaced by each test.
act: Callable[[Work], Done] = _nothing


def perform(work: Work) -> Done:
    """What the test at hand does."""
    return act(work)
