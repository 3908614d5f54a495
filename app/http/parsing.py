"""Bodies and query strings into values; what cannot be stored or read is refused here, for every endpoint at once."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing, pre_load, validate
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict

from models.base import utc_now
from models.errors import Invalid

# What fits Postgres' integer column.
MAX_INTEGER = 2**31 - 1
# As far as every client's integers are exact.
MAX_EXACT_INTEGER = 2**53 - 1

# Beyond it a time to come is a slip of the pen.
MAX_YEARS_AHEAD = 5

# The longest page of a list.
MAX_PAGE = 200

# A body of 16 MiB may hold eight million, each of which costs; far fewer are a course of a thousand hours.
MAX_VALUES = 1_000_000
# Of a name that somebody sent, and of the way to a value.
MAX_SHOWN = 200
MAX_FAULTS = 100

# Far beyond any course. Python's own limit would strike later, when what was read is to be stored.
MAX_DEPTH = 100


class BodyParser(FlaskParser):
    """webargs' parser, with our errors: the surface decides their status and shape."""

    def load_json(self, req: Any, schema: Any) -> Any:
        """The body as JSON.

        Raises:
            Invalid: it is not JSON, or holds text that cannot be stored.
        """
        raw = req.get_data()
        if not raw:
            return missing
        if not req.is_json:
            raise Invalid(f"The body must be JSON; Content-Type is {req.content_type or 'not given'!r}.")
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError) as fault:
            # ValueError also of an integer with more digits than Python converts.
            raise Invalid(f"The body is not valid JSON: {str(fault)[:200]}") from None
        if not isinstance(body, dict):
            raise Invalid(f"The body must be a JSON object, not {type(body).__name__}.")
        refuse_bad_text(body, "")
        return body

    def load_querystring(self, req: Any, schema: Any) -> Any:
        """The query string; a repeated parameter counts once."""
        values: MultiDict[str, str] = req.args
        for name, value in values.items():
            refuse_bad_text(value, name)
        return super().load_querystring(req, schema)

    def handle_error(
        self, error: ValidationError, req: Any, schema: Any, *, error_status_code: Any, error_headers: Any
    ) -> NoReturn:
        """Turns marshmallow's findings into one error that names the first field and value, with all in details."""
        found = error.messages if isinstance(error.messages, dict) else {"body": error.messages}
        # webargs files them under the place they were read from.
        inner = next(iter(found.values()))
        fields_found: dict[Any, Any] = inner if isinstance(inner, dict) else found
        # However many they are, and however long their names: nobody reads more.
        some = {str(name)[:MAX_SHOWN]: said for name, said in list(fields_found.items())[:MAX_FAULTS]}
        raise Invalid("; ".join(sentences(some, "")), fields=some)


def refuse_bad_text(value: Any, where: str) -> None:
    """Walks a JSON value.

    Raises:
        Invalid: a text holds NUL or half a surrogate pair, a number is not finite, an integer is beyond 64 bits, or
            lists and objects are nested too deep or hold too much.
    """
    # Where something stands is put into words only when it is refused: a name for each of a million would be a bomb.
    waiting: list[tuple[Any, _Place | None, int]] = [(value, None, 0)]
    seen = 0
    while waiting:
        value, place, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise Invalid(f"{_path(where, place)}: it is nested more than {MAX_DEPTH} deep")
        if seen > MAX_VALUES:
            raise Invalid(f"{where or 'the body'}: it holds more than {MAX_VALUES:,} values")
        if isinstance(value, str):
            if "\0" in value:
                raise Invalid(f"{_path(where, place) or 'text'}: it holds the character NUL, which cannot be stored")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Invalid(
                    f"{_path(where, place) or 'text'}: it holds a lone surrogate, which is no character"
                ) from None
        elif isinstance(value, dict):
            for key, inner in value.items():
                waiting += [(inner, (place, key), depth + 1), (key, (place, " key"), depth)]
        elif isinstance(value, list):
            waiting += [(inner, (place, number), depth + 1) for number, inner in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise Invalid(f"{_path(where, place)}: {value} is not a number that can be stored")
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            raise Invalid(f"{_path(where, place)}: {str(value)[:40]} is too large an integer")


# What leads to a value: the place of what holds it, and its name or number there.
_Place = tuple[Any, "str | int"]


def _path(where: str, place: _Place | None) -> str:
    """The beginning of the way to a value, as a sentence says it."""
    steps: list[str] = []
    while place is not None:
        place, step = place
        name = f"[{step}]" if isinstance(step, int) else step if step == " key" else f".{step[:MAX_SHOWN]}"
        steps.append(name.encode(errors="replace").decode())
    return f"{where}{''.join(reversed(steps))}".lstrip(". ")[:MAX_SHOWN]


def sentences(found: Any, path: str) -> list[str]:
    """What marshmallow found, a sentence each."""
    if isinstance(found, dict):
        return [
            text
            for key, inner in found.items()
            for text in sentences(inner, path if key == "_schema" else f"{path}.{key}".lstrip("."))
        ]
    return [f"{path}: {text}".lstrip(": ").rstrip(".") for text in (found if isinstance(found, list) else [found])]


def _stating(kwargs: dict[str, Any], **limits: Any) -> dict[str, Any]:
    """The arguments of a field, with its limits for the API's description."""
    stated = {name: limit for name, limit in limits.items() if limit is not None}
    return kwargs | {"metadata": stated | kwargs.get("metadata", {})}


class Text(fields.String):
    """A text of ``minimum`` to ``maximum`` characters; ``spoken`` needs something other than white space."""

    def __init__(self, *, minimum: int = 0, maximum: int, spoken: bool = False, **kwargs: Any) -> None:
        super().__init__(**_stating(kwargs, minLength=minimum or None, maxLength=maximum))
        self._minimum, self._maximum, self._spoken = minimum, maximum, spoken

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(f"{_shown(value)} is not a text")
        if len(value) > self._maximum:
            raise ValidationError(f"it has {len(value)} characters; at most {self._maximum} are allowed")
        if len(value) < self._minimum or (self._spoken and not value.strip()):
            raise ValidationError(f"{_shown(value)} is too short" if value.strip() else f"{_shown(value)} is empty")
        return value


class Number(fields.Float):
    """A number in a range; neither a text nor true or false."""

    def __init__(self, minimum: float, maximum: float, **kwargs: Any) -> None:
        super().__init__(**_stating(kwargs, minimum=minimum, maximum=maximum))
        self._minimum, self._maximum = minimum, maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValidationError(f"{_shown(value)} is not a number")
        if not self._minimum <= value <= self._maximum:
            raise ValidationError(f"{_shown(value)} is outside {self._minimum:g} to {self._maximum:g}")
        return float(value)


class QueryNumber(Number):
    """A number in a query string."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValidationError(f"{_shown(value)} is not a number") from None
        return super()._deserialize(number, attr, data, **kwargs)


class Whole(fields.Integer):
    """A whole number in a range; neither a text nor true or false."""

    def __init__(self, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(**_stating(kwargs, minimum=minimum, maximum=maximum))
        self._minimum, self._maximum = minimum, maximum

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError(f"{_shown(value)} is not a whole number")
        if not self._minimum <= value <= self._maximum:
            raise ValidationError(f"{_shown(value)} is outside {self._minimum} to {self._maximum}")
        return value


class QueryWhole(Whole):
    """A whole number of a query string, in a range."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
            raise ValidationError(f"{_shown(value)} is not a whole number")
        return super()._deserialize(int(value), attr, data, **kwargs)


class Count(fields.Integer):
    """A whole number of a query string, at least ``minimum``; beyond ``clip`` it counts as ``clip``."""

    def __init__(self, *, minimum: int = 0, clip: int = MAX_INTEGER, **kwargs: Any) -> None:
        cut = f"Beyond {clip} it counts as {clip}." if clip < MAX_INTEGER else None
        super().__init__(**_stating(kwargs, minimum=minimum, description=cut))
        self._minimum, self._clip = minimum, clip

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,40}", str(value)):
            raise ValidationError(f"{_shown(value)} is not a whole number")
        number = int(value)
        if number < self._minimum:
            raise ValidationError(f"{number} is below {self._minimum}")
        return min(number, self._clip)


class Flag(fields.Boolean):
    """True or false; neither a text nor 1 or 0, which Python takes for them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError(f"{_shown(value)} is neither true nor false")
        return value


class Moment(Text):
    """A point in time as ISO 8601, in any zone, which has to be given; ``years_ahead`` None is as far as there are."""

    def __init__(self, *, years_ahead: int | None = MAX_YEARS_AHEAD, **kwargs: Any) -> None:
        super().__init__(maximum=40, metadata={"format": "date-time"}, **kwargs)
        self._years_ahead = years_ahead

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValidationError(f"{text!r} is no time in ISO 8601, such as 2026-01-15T02:00:00Z") from None
        if moment.tzinfo is None:
            raise ValidationError(f"{text!r} names no zone; end it with Z (UTC) or an offset such as +02:00")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValidationError(f"{text!r} is out of range") from None
        if self._years_ahead is not None and moment > utc_now() + timedelta(days=self._years_ahead * 365):
            raise ValidationError(f"{text!r} is more than {self._years_ahead} years ahead")
        return moment


class Paging(Schema):
    """Which part of a list; a page too large is cut, as the documents say."""

    class Meta:
        unknown = EXCLUDE

    limit = Count(load_default=50, minimum=1, clip=MAX_PAGE)
    offset = Count(load_default=0)


class Voiced(Schema):
    """What names a voice: ``tts_provider`` is another word for ``provider``."""

    @pre_load
    def take_synonym(self, data: Any, **_: Any) -> Any:
        """The data with our word for it."""
        if not isinstance(data, Mapping):
            raise ValidationError(f"{_shown(data)} is not an object")
        if "tts_provider" not in data:
            return data
        if "provider" in data:
            raise ValidationError("provider and tts_provider are the same; give one", "tts_provider")
        return {("provider" if name == "tts_provider" else name): value for name, value in data.items()}


class Listing(fields.List[Any]):
    """A list, whose error names what came instead."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError(f"{_shown(value)} is not a list")
        return super()._deserialize(value, attr, data, **kwargs)


def one_of(choices: list[str]) -> validate.OneOf:
    """A validator whose error names the value and the choices."""
    return validate.OneOf(choices, error="{input!r} is not one of " + ", ".join(choices))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
