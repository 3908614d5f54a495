"""Ollama: language models on a machine of one's own. Its API: https://docs.ollama.com/api."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workers.clients.service import Client, Refused
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


# --- Models of one's own ----------------------------------------------------------------------------------------------


class _Upload:
    """A file that says how far it is while it is read."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        self._file = path.open("rb")
        self._size_bytes = path.stat().st_size
        self._report = report

    def __len__(self) -> int:
        return self._size_bytes

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._report(len(block))
        return block

    def close(self) -> None:
        self._file.close()


def create(
    client: Client, model: str, files: Mapping[str, tuple[str, Path]], report: Callable[[str, float], None]
) -> None:
    """Has Ollama make a model of files in safetensors with their configuration and tokenizer.

    ``files`` are by their names, each with its SHA-256; what Ollama has of them already is not sent again. Making the
    same model once more replaces it. ``report`` hears the phase and how far it is, 0..1.
    """
    whole, sent = sum(path.stat().st_size for _, path in files.values()), 0

    def reported(read_bytes: int) -> None:
        nonlocal sent
        sent += read_bytes
        report("Sending", 0.9 * sent / max(1, whole))

    for sha256, path in files.values():
        blob = f"api/blobs/sha256:{sha256}"
        if _has(client, blob):
            reported(path.stat().st_size)
            continue
        upload = _Upload(path, reported)
        try:
            client.ask("POST", blob, content=upload, headers={"Content-Type": "application/octet-stream"})
        finally:
            upload.close()
    report("Making the model", 0.9)
    made = client.post(
        "api/create",
        {"model": model, "files": {name: f"sha256:{sha256}" for name, (sha256, _) in files.items()}, "stream": False},
    )
    if not isinstance(made, dict) or made.get("status") != "success":
        raise Refused(f"{client.name} did not say that it made {model!r}.", 200)


def _has(client: Client, blob: str) -> bool:
    try:
        client.ask("HEAD", blob)
    except Refused as fault:
        if fault.status == 404:
            return False
        raise
    return True


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
