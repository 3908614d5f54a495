"""JSON schemas from examples."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

_NAMES: list[tuple[type, str]] = [(bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")]


def shape(examples: list[Any]) -> Spec:
    """What all the examples are; a field that each of them has is always there, others may come beside them."""
    objects = [each for each in examples if isinstance(each, dict)]
    lists = [each for each in examples if isinstance(each, list)]
    kinds = sorted({_kind(each) for each in examples})
    if not kinds:
        return {}
    # 12 and 12.5 are numbers both.
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    schema: Spec = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if objects:
        names = list(dict.fromkeys(name for each in objects for name in each))
        if names:
            schema["properties"] = {name: shape([each[name] for each in objects if name in each]) for name in names}
        always = [name for name in names if all(name in each for each in objects)]
        if always:
            schema["required"] = always
    if lists:
        schema["items"] = shape([inner for each in lists for inner in each])
    return schema


def _kind(example: Any) -> str:
    if example is None:
        return "null"
    if isinstance(example, dict | list):
        return "object" if isinstance(example, dict) else "array"
    return next(name for kind, name in _NAMES if isinstance(example, kind))


def tidy(value: Any) -> None:
    """Takes out what says nothing, in place: a default of nothing, the length of a word out of a list."""
    if isinstance(value, list):
        for each in value:
            tidy(each)
        return
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        # An example is data, in which such words mean something else.
        if name not in ("examples", "example", "properties"):
            tidy(inner)
        elif name == "properties":
            for schema in inner.values():
                tidy(schema)
    if "type" in value:
        if value.get("default", ...) is None:
            del value["default"]
        if "enum" in value:
            value.pop("minLength", None)
            value.pop("maxLength", None)
