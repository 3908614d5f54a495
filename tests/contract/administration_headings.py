"""Which headings of administration.md have a test: each test says for which it answers, and for what under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.contract.document import Document, Heading, Request

ADMINISTRATION = Document("administration")
Test = TypeVar("Test", bound=Callable[..., None])

# What stands under these headings promises nothing that could be asked for.
NO_PROMISE = {
    "Administrative API Endpoints",
    "Overview",
    "Core vs Administrative Separation",
    "Documentation Maintenance Automation",
    "Implementation Notes for Future Automation",
    "Version History",
}

# Lines that only say what comes next, by how they begin.
LEADING = (
    *("**Purpose**", "**Query Parameters**", "**Request Body**", "**Response**", "**Use Cases**"),
    *("**Example Response**", "Administrative endpoints should be protected", "Administrative endpoints may have"),
)
# What a reader may do with it.
USES = {
    *("System monitoring dashboards", "Performance optimization", "Capacity planning", "Health monitoring automation"),
    *("Resource planning", "Cleanup scheduling", "System health checks", "Performance troubleshooting"),
    *("Manual cleanup before maintenance", "Emergency disk space recovery", "Testing cleanup configurations"),
    *("Scheduled cleanup via external automation", "Monitoring cleanup effectiveness", "Verifying cleanup scheduling"),
    *("Troubleshooting storage issues", "Audit trails for maintenance", "Error rate monitoring"),
    *("Identifying problem patterns", "System health assessment", "Performance optimization targets"),
    *("Real-time error debugging", "User support and troubleshooting", "API integration debugging"),
    "System behavior analysis",
}

# The sentences and bullets that tests answer for, by heading.
tested: dict[str, set[str]] = {}


def documented(title: str, *said: str) -> Callable[[Test], Test]:
    """Says that a test answers for a heading, and for what is said under it that begins so."""
    heading = ADMINISTRATION[title]
    for beginning in said:
        assert any(each.startswith(beginning) for each in promises(heading)), f"{title} says nothing like {beginning!r}"

    def note(test: Test) -> Test:
        tested.setdefault(title, set()).update(said)
        return test

    return note


def promises(heading: Heading) -> list[str]:
    """What a heading says that a test has to answer for, beside its examples."""
    said = [*heading.prose, *heading.bullets]
    return [each for each in said if not each.startswith(LEADING) and each not in USES]


def request(title: str, query: str = "") -> Request:
    """The request that a heading of this document is called by."""
    method, _, path = title.partition(" ")
    return Request(method, path.strip("`") + query, {} if method == "GET" else {"Content-Type": "application/json"})
