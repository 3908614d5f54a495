"""What can be wrong with a request to change what the system remembers; one class for each reaction."""

from __future__ import annotations

from typing import Any


class ModelError(Exception):
    """A refusal with a stable ``code`` and a sentence that names the value."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.details = details


class NotFound(ModelError):
    """There is no such thing, or the caller may not know of it."""

    code = "not_found"


class Conflict(ModelError):
    """The thing's present state forbids the change."""

    code = "conflict"


class Invalid(ModelError):
    """A value that cannot be stored or used."""

    code = "validation_error"


class Busy(ModelError):
    """Too much is waiting already; ``retry_after_seconds`` says when to ask again."""

    code = "busy"

    def __init__(self, message: str, *, retry_after_seconds: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_seconds = retry_after_seconds


class OverShare(Busy):
    """One credential has as much waiting as it may have."""

    code = "rate_limited"


class Unavailable(Busy):
    """Nothing that could do the work is running."""

    code = "provider_unavailable"


class LeaseLost(ModelError):
    """The unit is no longer this worker's: stop, and throw the work away."""

    code = "lease_lost"


class UpstreamFailed(ModelError):
    """A server outside did not do what it was asked for."""

    code = "upstream_error"


class Denied(ModelError):
    """The caller may not do this."""

    code = "forbidden"
