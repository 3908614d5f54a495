"""Arguments of our own tools as their endpoints take them, and what of it only administrators may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from app.http.parsing import sentences
from models.accounts import Caller
from models.errors import Denied, Invalid


def read(schema: Schema, given: Mapping[str, Any], **theirs: str) -> dict[str, Any]:
    """The values by the endpoint's names, with what it takes for those that are not given.

    ``theirs`` says what the endpoint calls an argument that has another name here.

    Raises:
        Invalid: the endpoint would not take one; it is named.
    """
    try:
        found: dict[str, Any] = schema.load({theirs.get(name, name): value for name, value in given.items()})
    except ValidationError as fault:
        ours = {name: own for own, name in theirs.items()}
        wrong = {ours.get(str(name), str(name)): told for name, told in fault.messages_dict.items()}
        raise Invalid("; ".join(sentences(wrong, "")), fields=wrong) from None
    return found


def administer(caller: Caller, what: str | None) -> None:
    """Makes sure that an administrator asks for what only administrators do; None is what everybody may.

    Raises:
        Denied: somebody else asks.
    """
    if what is not None and caller.role != "admin":
        raise Denied(f"Role {caller.role} may not do this; {what} takes admin.")
