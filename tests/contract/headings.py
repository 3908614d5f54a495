"""Which headings of management.md have a test: each test says for which it answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.contract.document import Document

MANAGEMENT = Document("management")
Test = TypeVar("Test", bound=Callable[..., None])

# What stands under these headings promises nothing that could be asked for.
NO_PROMISE = {"Related Pages"}

# What this version does not have yet. A heading leaves the list when its endpoint comes, and gets a test.
LATER: set[str] = set()

# Lines that only lead over to an example.
LEADING = {"Response:", "Query Parameters:", "Message types:", "All errors follow this format:"}

# The sentences that tests answer for, by heading.
tested: dict[str, set[str]] = {}


def documented(title: str, *prose: str) -> Callable[[Test], Test]:
    """Says that a test answers for a heading, and for these sentences under it."""

    def note(test: Test) -> Test:
        tested.setdefault(title, set()).update(prose)
        return test

    return note
