"""What a fine-tuning is asked to do: ``plan.json`` and ``rows.jsonl`` of its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workers.errors import BadInput
from workers.llm.config import Config

FILE = "plan.json"
ROWS = "rows.jsonl"

Format = Literal["folder", "gguf", "hub"]
Message = dict[str, Any]


@dataclass(frozen=True)
class BaseModel:
    """A base model and where it lies.

    Attributes:
        id: What people call it.
        path: Its folder, or its GGUF file; with ``hub`` the folder that it is downloaded to where it is not there yet.
        sha256: As ``bases.sha256`` has it; empty where nobody knows.
        cache: Where a GGUF file is unpacked to, once for all.
    """

    id: str
    path: Path
    format: Format = "folder"
    sha256: str = ""
    cache: Path | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Plan:
    """One fine-tuning."""

    name: str
    base_model: BaseModel
    config: Config = field(default_factory=Config)
    seed: int = 1
    threads: int = 1
    device: str = "cpu"
    # What a kill may cost; a checkpoint of a small model takes a few hundredths of a second.
    checkpoint_seconds: float = 10.0


@dataclass(frozen=True)
class Row:
    """One example; its last message is the assistant's and is what is learned."""

    prompt_id: int | str
    messages: tuple[Message, ...]


def base_of(told: dict[str, Any], folder: Path) -> BaseModel:
    """The base model as a plan names it; paths may be relative to the plan's folder."""
    cache = told.get("cache")
    return BaseModel(
        id=told["id"],
        path=folder / told["path"],
        format=told.get("format", "folder"),
        sha256=told.get("sha256") or "",
        cache=folder / cache if cache else None,
        licence=told.get("licence"),
    )


def read(folder: Path) -> Plan:
    """The plan in a folder."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    try:
        config = Config.of(told.get("config", {}))
    except ValueError as fault:
        raise BadInput(str(fault), code="bad_config") from None
    return Plan(
        name=told["name"],
        base_model=base_of(told["base_model"], folder),
        config=config,
        seed=told.get("seed", config.seed),
        threads=told.get("threads", 1),
        device=told.get("device", "cpu"),
        checkpoint_seconds=told.get("checkpoint_seconds", Plan.checkpoint_seconds),
    )


def read_rows(folder: Path) -> list[Row]:
    """The examples.

    Raises:
        BadInput: one of them cannot be learned from; the text names its line.
    """
    rows = []
    with (folder / ROWS).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                rows.append(_row(number, line))
    if not rows:
        raise BadInput("There are no prompts to learn from.", code="no_rows")
    return rows


def _row(number: int, line: str) -> Row:
    try:
        told = json.loads(line)
    except ValueError:
        raise _bad(number, "is no JSON") from None
    messages = told.get("messages") if isinstance(told, dict) else None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages) or not messages:
        raise _bad(number, "has no list of messages")
    for place, message in enumerate(messages, 1):
        if not isinstance(message.get("role"), str):
            raise _bad(number, f"has a message ({place}) without a role")
        if not isinstance(message.get("content"), str | None):
            raise _bad(number, f"has a message ({place}) whose content is no text")
    last = messages[-1]
    if last["role"] != "assistant":
        raise _bad(number, f"ends with a message of {last['role']!r}, not with the assistant's")
    if not (last.get("content") or "").strip() and not last.get("tool_calls"):
        raise _bad(number, "ends with an empty answer")
    return Row(told.get("prompt_id", number), tuple(messages))


def _bad(number: int, what: str) -> BadInput:
    return BadInput(f"Line {number} of the prompts {what}.", code="bad_row")
