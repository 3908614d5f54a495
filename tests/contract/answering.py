"""Which headings of a document have a test: each test says for which it answers."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import TypeVar

from tests.contract.document import Document

Test = TypeVar("Test", bound=Callable[..., None])


@dataclass(frozen=True)
class Titles:
    """The headings of a document that tests answer for. What stands under ``no_promise`` promises nothing."""

    document: Document
    no_promise: Set[str] = frozenset()
    tested: set[str] = field(default_factory=set)

    def documented(self, *titles: str) -> Callable[[Test], Test]:
        """Says that a test answers for these headings."""
        assert all(title in self.document.headings for title in titles), titles

        def note(test: Test) -> Test:
            self.tested.update(titles)
            return test

        return note

    def assert_all_answered(self) -> None:
        """Fails unless every heading under which something stands has a test, and no other."""
        said = {title for title, heading in self.document.headings.items() if heading.says_something}
        assert said == self.tested | self.no_promise
