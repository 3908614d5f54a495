"""A service that each test may have answer as it likes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outside.scripted import Scripted
from tests.outside.server import running


@pytest.fixture
def site() -> Iterator[Scripted]:
    """Somebody's service."""
    with running(Scripted()) as service:
        yield service
