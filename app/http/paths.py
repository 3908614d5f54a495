"""What stands in paths."""

from __future__ import annotations

from werkzeug.routing import IntegerConverter

# As far as Postgres counts.
_LARGEST = 2**63 - 1


class Number(IntegerConverter):
    """A whole number; one beyond all that can be stored is the last of these, which nothing has."""

    def to_python(self, value: str) -> int:
        """The number. Python itself refuses those of thousands of digits."""
        return _LARGEST if len(value) > 19 else min(int(super().to_python(value)), _LARGEST)
