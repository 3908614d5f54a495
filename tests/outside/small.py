"""Stand-ins for Tautulli and for Ollama, as far as our clients ask them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.outside.server import KEY, Answer, Asked, Outside, as_json, plain

SESSION = {
    "friendly_name": "Ada",
    "user": "ada",
    "full_title": "The Expanse - The Big Empty",
    "media_type": "episode",
    "state": "playing",
    "progress_percent": "42",
    "player": "Living room",
    "product": "Plex for TV",
    "transcode_decision": "transcode",
    "bandwidth": "4000",
    "ip_address": "192.168.1.20",
    "email": "ada@example.com",
}
PLAYS = [
    {"friendly_name": "Ada", "user": "ada", "full_title": "Dune", "media_type": "movie", "started": 1_700_000_000}
    | {"stopped": 1_700_003_600, "percent_complete": 98, "player": "Living room", "ip_address": "192.168.1.20"},
    {"friendly_name": "", "user": "bob", "full_title": "Alien", "media_type": "movie", "started": 1_600_000_000}
    | {"stopped": None, "percent_complete": 3, "player": "Phone", "ip_address": "192.168.1.21"},
]


class Tautulli(Outside):
    """One; the ``old`` told of every fault with a good status."""

    def __init__(self, *, old: bool = False) -> None:
        self.old = old
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        """What it answers."""
        query = asked.query
        if asked.path != "/api/v2":
            return plain(b"<html>The path was not found.</html>", 404)
        if query.pop("apikey", None) != KEY:
            return self._said("error", "Invalid apikey", {}, 401)
        command = query.pop("cmd", None)
        if command == "get_date_formats":
            return self._said("success", None, {"date_format": "YYYY-MM-DD", "time_format": "HH:mm"})
        if command == "get_activity":
            return self._said("success", None, {"stream_count": "1", "sessions": [SESSION]})
        if command == "get_history":
            found = [
                row
                for row in PLAYS
                if query.get("user", row["user"]) == row["user"]
                and query.get("search", "").casefold() in str(row["full_title"]).casefold()
            ]
            page = {"recordsTotal": len(PLAYS), "recordsFiltered": len(found), "data": found[: int(query["length"])]}
            return self._said("success", None, page)
        return self._said("error", f"Unknown command: {command}", {}, 400)

    def _said(self, result: str, message: str | None, data: Any, status: int = 200) -> Answer:
        said = {"response": {"result": result, "message": message, "data": data}}
        return as_json(said, 200 if self.old else status)


class Ollama(Outside):
    """One with a single model, and whatever else is made here."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.made: dict[str, dict[str, str]] = {}
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        """What it answers."""
        if asked.path.startswith("/api/blobs/"):
            return self._blob(asked.method, asked.path.removeprefix("/api/blobs/"), asked.content)
        if asked.line == "POST /api/create":
            said = asked.body
            for name, digest in said["files"].items():
                if digest not in self.blobs:
                    return as_json({"error": f"{name}: no such blob"}, 400)
            if not any(name.endswith(".safetensors") for name in said["files"]):
                return as_json({"error": "no Modelfile or safetensors files found"}, 400)
            self.made[said["model"]] = said["files"]
            if said.get("stream", True):
                return plain(b'{"status":"converting model"}\n{"status":"success"}', kind="application/x-ndjson")
            return as_json({"status": "success"})
        if asked.line == "GET /api/tags":
            details = {"family": "llama", "parameter_size": "1.2B", "quantization_level": "Q8_0", "format": "gguf"}
            return as_json(
                {"models": [{"name": "llama3.2:1b", "size": 1_321_098_329, "digest": "ba", "details": details}]}
            )
        if asked.line == "POST /api/generate":
            said = asked.body
            if said["model"] != "llama3.2:1b":
                return as_json({"error": f"model '{said['model']}' not found"}, 404)
            about = {"model": said["model"], "done": True, "done_reason": "stop", "eval_count": 3, "context": [1, 2]}
            words = [f"{said.get('system', '')}|{said['prompt']}", "|", str(said["options"].get("temperature"))]
            if said.get("stream", True):
                # So it does unless it is told not to.
                lines = [json.dumps({"response": word, "done": False}) for word in words]
                return plain("\n".join(lines).encode(), kind="application/x-ndjson")
            return as_json(about | {"response": "".join(words)})
        return plain(b"404 page not found", 404, "text/plain")

    def _blob(self, method: str, digest: str, content: bytes) -> Answer:
        if method == "HEAD":
            return plain(b"", 200 if digest in self.blobs else 404, "text/plain")
        if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            return as_json({"error": f"digest mismatch, expected {digest}"}, 400)
        self.blobs[digest] = content
        return plain(b"", 201, "text/plain")
