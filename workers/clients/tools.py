"""A tool: what can be called by a name, with which arguments, and what it does to the world."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry

from workers.errors import BadInput

# A parameter as JSON Schema has it, but that it says of itself whether it is `required`.
Parameter = Mapping[str, Any]
Parameters = Mapping[str, Parameter]

# Names of what is nobody's business.
_SECRET = re.compile(
    r"pass(word|wd|phrase|code)?$|passw|pwd|\bpw\b|secret|token|credential|authorization|auth$|bearer|api_?-?key|"
    r"(private|access|signing)_?-?key|^key$|\bpin\b|\botp\b|cookie|session_?-?(id|key)|signature",
    re.IGNORECASE,
)
_SAID = {
    "type": "{shown} is no {limit}",
    "enum": "{shown} is none of {limit}",
    "minimum": "{shown} is below {limit}",
    "maximum": "{shown} is above {limit}",
    "minLength": "it has fewer than {limit} characters",
    "maxLength": "it has more than {limit} characters",
    "minItems": "it has fewer than {limit} entries",
    "maxItems": "it has more than {limit} entries",
}

NAME = r"[a-z][a-z0-9_]{0,63}"


def is_secret(name: str) -> bool:
    """Whether what has this name is nobody's business."""
    return _SECRET.search(name) is not None


@dataclass(frozen=True)
class Tool:
    """Something that can be called.

    Attributes:
        parameters: What it takes, by name.
        run: Does it: for a tool of a service ``(client, arguments)``.
        service_type: Of which type of service it is; None of our own.
        read_only: Whether it changes nothing.
        destructive: Whether it may remove or overwrite something; such a call has to be confirmed.
    """

    name: str
    description: str
    parameters: Parameters
    run: Callable[..., Any]
    service_type: str | None = None
    read_only: bool = True
    destructive: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """What it takes, as a JSON Schema."""
        properties = {
            name: {key: value for key, value in parameter.items() if key != "required"}
            for name, parameter in self.parameters.items()
        }
        required = [name for name, parameter in self.parameters.items() if parameter.get("required")]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    @cached_property
    def _validator(self) -> Draft202012Validator:
        # With a registry of its own, or a `$ref` would be fetched from wherever it leads.
        return Draft202012Validator(self.schema, registry=Registry())

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Makes sure that it takes these.

        Raises:
            BadInput: naming the one that does not fit.
        """
        fault = best_match(self._validator.iter_errors(dict(arguments)))
        if fault is not None:
            raise BadInput(self._sentence(fault)[:500], code="bad_arguments")

    def _sentence(self, fault: Any) -> str:
        """What does not fit; the value is quoted unless it is nobody's business."""
        path, given = [str(part) for part in fault.absolute_path], fault.instance
        where, rule, limit = ".".join(path), fault.validator, fault.validator_value
        if not path and rule == "required":
            missing = [name for name, said in self.parameters.items() if said.get("required") and name not in given]
            return f"{missing[0]}: it is needed"
        if not path and rule == "additionalProperties":
            other = [name for name in given if name not in self.parameters]
            return f"{other[0][:100]}: {self.name} takes no such argument, but {', '.join(self.parameters) or 'none'}"
        secret = any(map(is_secret, path)) or self.parameters.get(path[0] if path else "", {}).get("writeOnly")
        shown = "it" if secret or isinstance(given, dict | list) else repr(given)[:60]
        said = _SAID.get(rule, "{shown} does not fit {rule} {limit}").format(shown=shown, rule=rule, limit=limit)
        return f"{where}: {said}".removeprefix(": ")
