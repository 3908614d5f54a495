"""Ollama: language models on a machine of one's own. Its API: https://docs.ollama.com/api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.clients.service import Client
from workers.clients.service_type import ServiceType, in_header
from workers.clients.tools import Tool

_TEXT = {"type": "string", "minLength": 1, "maxLength": 100_000}


def _probe(client: Client) -> None:
    client.get("api/tags")["models"]


def _models(client: Client, arguments: Mapping[str, Any]) -> Any:
    return {"models": [_shown(model) for model in client.get("api/tags")["models"]]}


def _shown(model: Mapping[str, Any]) -> dict[str, Any]:
    details = model.get("details") or {}
    return {
        "name": model["name"],
        "size_bytes": model.get("size"),
        "family": details.get("family"),
        "parameters": details.get("parameter_size"),
        "quantization": details.get("quantization_level"),
    }


def _generate(client: Client, arguments: Mapping[str, Any]) -> Any:
    options = {"temperature": arguments.get("temperature"), "num_predict": arguments.get("max_tokens")}
    body = {
        "model": arguments["model"],
        "prompt": arguments["prompt"],
        "system": arguments.get("system"),
        "stream": False,
        "options": {name: value for name, value in options.items() if value is not None},
    }
    made = client.post("api/generate", {name: value for name, value in body.items() if value is not None})
    return {"text": made["response"], "ended_by": made.get("done_reason"), "tokens": made.get("eval_count")}


TYPE = ServiceType(
    name="ollama",
    title="Ollama",
    probe=_probe,
    # Of its own it takes no key; what stands before it does.
    key_in=lambda config: in_header("Authorization", "Bearer "),
    tools=(
        Tool("ollama_list_models", "List the language models that Ollama has", {}, _models, "ollama"),
        Tool(
            "ollama_generate",
            "Have a language model of Ollama answer; the service's timeout_seconds may have to be long",
            {
                "model": {"type": "string", "minLength": 1, "maxLength": 200, "required": True},
                "prompt": _TEXT | {"required": True},
                "system": _TEXT,
                "temperature": {"type": "number", "minimum": 0, "maximum": 2},
                "max_tokens": {"type": "integer", "minimum": 1, "maximum": 32_768},
            },
            _generate,
            "ollama",
        ),
    ),
)
