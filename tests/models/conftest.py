"""What tests of the tables share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from models.db import Database
from models.workers import Worker


@pytest.fixture
def register_of_its_own(database: Database) -> Iterator[None]:
    """Removes the workers that a test invented; the real one, where there is one, keeps its row."""
    yield
    with database.transaction() as session:
        session.execute(delete(Worker).where(Worker.host == "here"))
