"""Prompts as files: our own lines of JSON, ShareGPT, Alpaca; read and written without loss of what each can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.errors import BadInput

FORMATS = ("jsonl", "sharegpt", "alpaca")

_FROM_SHAREGPT = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "function_call",
    "observation": "tool",
    "tool": "tool",
}
_NAME_CHARACTERS = 60


@dataclass(frozen=True)
class Prompt:
    """One example as people keep it. ``history`` holds the messages between the system's and the last question."""

    name: str
    user_input: str
    expected_output: str
    category: str = ""
    system_prompt: str = ""
    tags: tuple[str, ...] = ()
    tool_calls: tuple[dict[str, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """As a row of a training; the last message is the assistant's."""
        told: list[dict[str, Any]] = []
        if self.system_prompt:
            told.append({"role": "system", "content": self.system_prompt})
        told += [dict(message) for message in self.history]
        told.append({"role": "user", "content": self.user_input})
        answer: dict[str, Any] = {"role": "assistant", "content": self.expected_output}
        if self.tool_calls:
            answer["tool_calls"] = list(self.tool_calls)
        return [*told, answer]


def read(content: str, form: str) -> list[Prompt]:
    """The prompts in a file.

    Raises:
        BadInput: it is not of this form; the text names the line or entry, and the field.
    """
    readers = {"jsonl": _own, "sharegpt": _sharegpt, "alpaca": _alpaca}
    if form not in readers:
        raise BadInput(f"format {form!r} is none of {', '.join(FORMATS)}", code="bad_format")
    return [readers[form](entry, where) for where, entry in _entries(content.removeprefix("\ufeff"))]


def write(prompts: Iterable[Prompt], form: str) -> str:
    """A file with these prompts: lines of JSON for our own, one JSON list for the others."""
    prompts = list(prompts)
    if form == "jsonl":
        return "".join(json.dumps(_own_told(each), ensure_ascii=False) + "\n" for each in prompts)
    writers = {"sharegpt": _sharegpt_told, "alpaca": _alpaca_told}
    if form not in writers:
        raise BadInput(f"format {form!r} is none of {', '.join(FORMATS)}", code="bad_format")
    return json.dumps([writers[form](each) for each in prompts], ensure_ascii=False, indent=1) + "\n"


def _entries(content: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects in a file with where they stand: a JSON list, or a line for each."""
    if content.lstrip().startswith("["):
        try:
            told = json.loads(content)
        except json.JSONDecodeError as fault:
            raise BadInput(f"line {fault.lineno}: {fault.msg}", code="bad_json") from None
        found = [(f"entry {place}", entry) for place, entry in enumerate(told, 1)]
    else:
        found = []
        for number, line in enumerate(content.split("\n"), 1):
            if not line.strip():
                continue
            try:
                found.append((f"line {number}", json.loads(line)))
            except json.JSONDecodeError as fault:
                raise BadInput(f"line {number}: {fault.msg}", code="bad_json") from None
    for where, entry in found:
        if not isinstance(entry, dict):
            raise BadInput(f"{where} is no object", code="bad_prompt")
    return found


# --- Fields -----------------------------------------------------------------------------------------------------------


def _bad(where: str, name: str, what: str) -> BadInput:
    return BadInput(f"{where}: {name} {what}", code="bad_prompt")


def _text(entry: dict[str, Any], name: str, where: str, *, needed: bool = False) -> str:
    value = entry.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise _bad(where, name, "is missing" if value is None else "is no text")
    if needed and not value.strip():
        raise _bad(where, name, "is empty")
    return value


def _list(entry: dict[str, Any], name: str, of: type, where: str) -> tuple[Any, ...]:
    value = entry.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, of) for each in value):
        raise _bad(where, name, "is no list of " + ("texts" if of is str else "objects"))
    return tuple(value)


def _checked(prompt: Prompt, where: str) -> Prompt:
    if not prompt.expected_output.strip() and not prompt.tool_calls:
        raise _bad(where, "expected_output", "is empty, and there are no tool_calls")
    return prompt


def _named(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _NAME_CHARACTERS else line[: _NAME_CHARACTERS - 1] + "…"


# --- Our own ----------------------------------------------------------------------------------------------------------


def _own(entry: dict[str, Any], where: str) -> Prompt:
    question = _text(entry, "user_input", where, needed=True)
    return _checked(
        Prompt(
            name=_text(entry, "name", where) or _named(question),
            user_input=question,
            expected_output=_text(entry, "expected_output", where),
            category=_text(entry, "category", where),
            system_prompt=_text(entry, "system_prompt", where),
            tags=_list(entry, "tags", str, where),
            tool_calls=_list(entry, "tool_calls", dict, where),
            history=_list(entry, "history", dict, where),
        ),
        where,
    )


def _own_told(prompt: Prompt) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": prompt.name,
        "category": prompt.category,
        "system_prompt": prompt.system_prompt,
        "user_input": prompt.user_input,
        "expected_output": prompt.expected_output,
        "tags": list(prompt.tags),
    }
    if prompt.tool_calls:
        told["tool_calls"] = list(prompt.tool_calls)
    if prompt.history:
        told["history"] = list(prompt.history)
    return told


# --- Alpaca: instruction, input, output -------------------------------------------------------------------------------


def _alpaca(entry: dict[str, Any], where: str) -> Prompt:
    instruction, given = _text(entry, "instruction", where, needed=True), _text(entry, "input", where)
    pairs = entry.get("history") or []
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs
    ):
        raise _bad(where, "history", "is no list of pairs of texts")
    roles = ("user", "assistant")
    return _checked(
        Prompt(
            name=_text(entry, "name", where) or _named(instruction),
            user_input="\n".join(filter(None, (instruction, given))),
            expected_output=_text(entry, "output", where),
            category=_text(entry, "category", where),
            system_prompt=_text(entry, "system", where),
            tags=_list(entry, "tags", str, where),
            tool_calls=_list(entry, "tool_calls", dict, where),
            history=tuple(
                {"role": role, "content": text} for pair in pairs for role, text in zip(roles, pair, strict=True)
            ),
        ),
        where,
    )


def _alpaca_told(prompt: Prompt) -> dict[str, Any]:
    roles = [message["role"] for message in prompt.history]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise BadInput(f"{prompt.name!r} has a conversation that Alpaca cannot hold", code="not_in_this_format")
    texts = [message["content"] for message in prompt.history]
    told: dict[str, Any] = {"instruction": prompt.user_input, "input": "", "output": prompt.expected_output}
    told |= {"system": prompt.system_prompt} if prompt.system_prompt else {}
    told |= {"history": [texts[at : at + 2] for at in range(0, len(texts), 2)]} if texts else {}
    return told | _beside(prompt)


# --- ShareGPT: conversations ------------------------------------------------------------------------------------------


def _sharegpt(entry: dict[str, Any], where: str) -> Prompt:
    turns = _list(entry, "conversations", dict, where) or _list(entry, "messages", dict, where)
    if not turns:
        raise _bad(where, "conversations", "is missing")
    messages = [_turn(turn, f"{where}, turn {place}") for place, turn in enumerate(turns, 1)]
    system = _text(entry, "system", where)
    if messages[0]["role"] == "system":
        system = messages.pop(0)["content"]
    if len(messages) < 2 or messages[-1]["role"] != "assistant" or messages[-2]["role"] != "user":
        raise _bad(where, "conversations", "does not end with what a human says and the answer to it")
    *before, question, answer = messages
    return _checked(
        Prompt(
            name=_text(entry, "name", where) or _named(question["content"]),
            user_input=question["content"],
            expected_output=answer["content"],
            category=_text(entry, "category", where),
            system_prompt=system,
            tags=_list(entry, "tags", str, where),
            tool_calls=tuple(answer.get("tool_calls", ())),
            history=tuple(before),
        ),
        where,
    )


def _turn(turn: dict[str, Any], where: str) -> dict[str, Any]:
    said, field = ("from", "value") if "from" in turn else ("role", "content")
    role = _FROM_SHAREGPT.get(str(turn.get(said)))
    if role is None:
        raise _bad(where, said, f"{turn.get(said)!r} is none of {', '.join(_FROM_SHAREGPT)}")
    value = _text(turn, field, where)
    calls = list(_list(turn, "tool_calls", dict, where))
    if role != "function_call":
        return {"role": role, "content": value} | ({"tool_calls": calls} if calls else {})
    try:
        told = json.loads(value)
    except ValueError:
        raise _bad(where, field, "is no JSON, and should be a call of a function") from None
    return {"role": "assistant", "content": "", "tool_calls": told if isinstance(told, list) else [told]}


def _sharegpt_told(prompt: Prompt) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    names = {"user": "human", "assistant": "gpt", "tool": "observation"}
    for message in prompt.messages:
        calls: Sequence[Any] = message.get("tool_calls", ())
        if calls and not message["content"]:
            turns.append({"from": "function_call", "value": json.dumps(calls, ensure_ascii=False)})
        else:
            turn = {"from": names.get(message["role"], message["role"]), "value": message["content"]}
            turns.append(turn | ({"tool_calls": calls} if calls else {}))
    beside = _beside(prompt)
    beside.pop("tool_calls", None)
    return {"conversations": turns} | beside


def _beside(prompt: Prompt) -> dict[str, Any]:
    """What neither form knows, and their readers pass over."""
    told: dict[str, Any] = {"name": prompt.name}
    told |= {"category": prompt.category} if prompt.category else {}
    told |= {"tags": list(prompt.tags)} if prompt.tags else {}
    return told | ({"tool_calls": list(prompt.tool_calls)} if prompt.tool_calls else {})
