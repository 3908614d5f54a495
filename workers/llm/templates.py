"""Messages as a base model wants to read them: its own chat template, run as transformers runs it, but without that.

Needs jinja2 alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from workers.errors import BadInput
from workers.llm.plan import Message

# For base models that were never taught to chat. It goes with the adapter.
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


class _Generation(jinja2.ext.Extension):
    """Reads ``{% generation %}``, by which some templates mark what the assistant says, as if it were not there."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _json(value: Any, indent: int | None = None, **how: Any) -> str:
    # jinja's own would escape what is special in HTML.
    return json.dumps(value, ensure_ascii=False, indent=indent, **how)


class ChatTemplate:
    """The template of a base model; ``is_plain`` where it has none and ours stands in."""

    def __init__(self, source: str | None, special: dict[str, Any]) -> None:
        self.is_plain = source is None
        self.source = source or PLAIN
        self._special = special
        self._knows_tools = "tool_calls" in self.source
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
        try:
            self._template = environment.from_string(self.source)
        except jinja2.TemplateError as fault:
            raise BadInput(f"The base model's chat template cannot be read: {fault}.", code="bad_template") from None

    @classmethod
    def of_folder(cls, folder: Path) -> ChatTemplate:
        """The template of a base model's folder."""
        config: dict[str, Any] = {}
        if (folder / "tokenizer_config.json").exists():
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        source = config.get("chat_template")
        if isinstance(source, list):
            named = {each["name"]: each["template"] for each in source}
            source = named.get("default")
        if (folder / "chat_template.jinja").exists():
            source = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        special = {name: _text(value) for name, value in config.items() if name.endswith("_token")}
        special = {name: value for name, value in special.items() if isinstance(value, str)}
        return cls(source, {"bos_token": "", "eos_token": ""} | special)

    def text(self, messages: Sequence[Message], *, asks: bool = False) -> str:
        """The messages as one text; ``asks``: up to where the assistant begins to answer.

        Raises:
            BadInput: the template refuses them.
        """
        prepared = [self._prepared(message) for message in messages]
        try:
            return self._template.render(messages=prepared, add_generation_prompt=asks, tools=None, **self._special)
        except (jinja2.TemplateError, TypeError) as fault:
            message = f"The base model's chat template does not take these messages: {fault}."
            raise BadInput(message, code="template_refused") from None

    def _prepared(self, message: Message) -> Message:
        calls = [_call(call) for call in message.get("tool_calls") or ()]
        content = message.get("content") or ""
        if not calls:
            return {"role": message["role"], "content": content}
        if self._knows_tools:
            return {"role": message["role"], "content": content, "tool_calls": calls}
        # As those models write them whose templates know of tools.
        written = [f"<tool_call>\n{_json(call['function'])}\n</tool_call>" for call in calls]
        return {"role": message["role"], "content": "\n".join(filter(None, [content, *written]))}


def _text(value: Any) -> Any:
    return value.get("content") if isinstance(value, dict) else value


def _call(call: Any) -> dict[str, Any]:
    """A call of a tool, as templates expect it, whether it was told as OpenAI does or by name and arguments alone."""
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadInput(f"{str(call)[:100]!r} is no call of a tool: it has no name.", code="bad_tool_call")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            raise BadInput(f"The arguments of {function['name']!r} are no JSON.", code="bad_tool_call") from None
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
