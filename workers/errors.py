"""What can go wrong with work; one class for each reaction of the one who runs it."""

from __future__ import annotations


class WorkError(Exception):
    """Work failed for good; trying again would fail again. ``code`` is stable, the text names the value."""

    code = "work_failed"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code


class BadInput(WorkError):
    """What was asked for cannot be done with this input; the one who asked can mend it."""

    code = "bad_input"


class RetryLater(WorkError):
    """Work failed for a reason that may pass: a full disk, an outside service away."""

    code = "temporarily_unavailable"


class Stopped(Exception):
    """Nobody wants the work any more (cancelled, paused, lease lost): throw it away at once."""
