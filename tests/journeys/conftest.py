"""Whole products in folders of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import eventually
from tests.journeys.product import Voiceworks

# A report that is longer than the test's line, shown at the end of the run.
_MEASURED: list[str] = []


@pytest.fixture
def measured(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Notes a duration: for the report, and for people, who see it at the end of the run."""

    def note(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        _MEASURED.append(f"{request.node.name}: {what} {seconds:.1f} s")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what was measured."""
    if _MEASURED:
        terminalreporter.section("measured")
        for line in _MEASURED:
            terminalreporter.line(line)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiceworks]:
    """The whole product, for tests that do each other no harm."""
    product = Voiceworks(tmp_path_factory.mktemp("product"))
    try:
        product.start()
        eventually(product.settled, within_seconds=60)
        yield product
        product.stop()
    finally:
        product.demolish()


class _Mortal:
    """The product that kills are done to; it heals, so one serves many tests, but each finds it whole."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self.product: Voiceworks | None = None

    def whole(self) -> Voiceworks:
        if self.product is not None:
            try:
                eventually(self.product.settled, within_seconds=20)
            except AssertionError:
                self.product.demolish()
                self.product = None
        if self.product is None:
            self.product = Voiceworks(self._factory.mktemp("mortal"))
            self.product.start()
            eventually(self.product.settled, within_seconds=60)
        return self.product


@pytest.fixture(scope="module")
def _mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Mortal]:
    mortal = _Mortal(tmp_path_factory)
    try:
        yield mortal
        if mortal.product is not None:
            mortal.product.stop()
    finally:
        if mortal.product is not None:
            mortal.product.demolish()


@pytest.fixture
def mortal(_mortal: _Mortal) -> Voiceworks:
    """The whole product, all of it up, for tests that kill parts of it."""
    return _mortal.whole()


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
