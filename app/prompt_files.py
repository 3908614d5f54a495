"""Prompts as files: what people bring becomes rows, held against the same rules as by its own endpoint, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, ValidationError

from app.http.parsing import refuse_bad_text, sentences
from models.errors import Invalid
from models.llm.tables import TrainingPrompt
from workers.errors import BadInput
from workers.llm import formats
from workers.llm.formats import Prompt

_TEXTS = ("name", "category", "system_prompt", "user_input", "expected_output")
_LISTS = ("tags", "tool_calls", "history")
Row = dict[str, Any]


def read(content: bytes, form: str, schema: Schema) -> list[Row]:
    """The fields of a row for each prompt of a file. It takes a while: keep off the event loop.

    Of prompts that would have the same name, all but the first get a number.

    Raises:
        Invalid: it holds none, or one that cannot be used; the text names its line, or its number, and the field.
    """
    try:
        found = formats.read(content.decode("utf-8-sig"), form)
    except UnicodeDecodeError as fault:
        raise Invalid(f"The body is not UTF-8: byte {fault.start} cannot be read") from None
    except BadInput as fault:
        raise Invalid(fault.message, code=fault.code) from None
    except (RecursionError, ValueError) as fault:
        raise Invalid(f"The body is not valid JSON: {str(fault)[:200]}") from None
    if not found:
        raise Invalid("The body holds no prompts")
    rows = [_checked(each, f"prompt {number}", schema) for number, each in enumerate(found, 1)]
    return _told_apart(rows)


def write(prompts: Sequence[Prompt], form: str) -> str:
    """A file with these prompts. It takes a while: keep off the event loop.

    Raises:
        Invalid: one of them has what files of this form have no place for; the text names it.
    """
    try:
        return formats.write(prompts, form)
    except BadInput as fault:
        raise Invalid(fault.message, code=fault.code) from None


def kept(prompt: TrainingPrompt) -> Prompt:
    """A prompt as files and trainings have it."""
    texts = {name: getattr(prompt, name) for name in _TEXTS}
    fields: dict[str, Any] = texts | {name: tuple(getattr(prompt, name)) for name in _LISTS}
    return Prompt(**fields)


def needs_an_answer(expected_output: str, tool_calls: Sequence[Any]) -> None:
    """Refuses what teaches nothing.

    Raises:
        Invalid: there are neither words nor calls of tools.
    """
    if not expected_output.strip() and not tool_calls:
        raise Invalid("expected_output: it is empty, and there are no tool_calls: nothing is to be learned")


def _checked(prompt: Prompt, where: str, schema: Schema) -> Row:
    given = {name: getattr(prompt, name) for name in _TEXTS} | {name: [*getattr(prompt, name)] for name in _LISTS}
    try:
        refuse_bad_text(given, "")
        row: Row = schema.load(given)
    except ValidationError as fault:
        found = fault.messages if isinstance(fault.messages, dict) else {"prompt": fault.messages}
        raise Invalid(f"{where}: {'; '.join(sentences(found, ''))}") from None
    except Invalid as fault:
        raise Invalid(f"{where}: {fault.message}") from None
    return row


def _told_apart(rows: list[Row]) -> list[Row]:
    taken = {row["name"] for row in rows}
    seen: Counter[str] = Counter()
    for row in rows:
        name = row["name"]
        seen[name] += 1
        if seen[name] == 1:
            continue
        number = seen[name]
        while (other := f"{name} ({number})") in taken:
            number += 1
        row["name"] = other
        taken.add(other)
    return rows
