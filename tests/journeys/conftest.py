"""Whole products in folders of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import MEASURED, eventually
from tests.journeys import truth
from tests.journeys.product import Voiceworks


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Notes a duration: for the report, and for people, who see it at the end of the run."""

    def note(what: str, seconds: float) -> None:
        record_property(f"{MEASURED}{what}", round(seconds, 2))

    return note


class _Keeper:
    """Keeps one product for all journeys: it heals from what they do to it, but each finds it whole and idle."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self.product: Voiceworks | None = None

    def whole(self) -> Voiceworks:
        """The product, all of it up and nothing to do; another one where a test that failed has left it otherwise."""
        if self.product is not None:
            try:
                eventually(self._is_whole, within_seconds=30)
            except AssertionError:
                self.product.demolish()
                self.product = None
        if self.product is None:
            self.product = Voiceworks(self._factory.mktemp("product"))
            self.product.start()
            eventually(self._is_whole, within_seconds=60)
        return self.product

    def _is_whole(self) -> bool:
        return self.product is not None and self.product.settled() and not truth.held(self.product)


@pytest.fixture(scope="session")
def _keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Keeper]:
    keeper = _Keeper(tmp_path_factory)
    try:
        yield keeper
        if keeper.product is not None:
            keeper.product.stop()
    finally:
        if keeper.product is not None:
            keeper.product.demolish()


@pytest.fixture
def product(_keeper: _Keeper) -> Voiceworks:
    """The whole product."""
    return _keeper.whole()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiceworks]:
    """The product without its fleet: tests start the speech workers."""
    product = Voiceworks(tmp_path_factory.mktemp("bare"), programs=("web", "worker_upkeep", "beat"))
    try:
        product.start()
        yield product
        product.stop()
    finally:
        product.demolish()
