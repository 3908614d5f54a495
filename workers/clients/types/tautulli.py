"""Tautulli: what is and was played on a Plex. Its API: https://github.com/Tautulli/Tautulli/wiki/Tautulli-API-Reference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workers.clients.service import Client, Refused
from workers.clients.service_type import ServiceType, in_query
from workers.clients.tools import Tool

LISTED = 25
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}


def _ask(client: Client, command: str, **query: Any) -> Any:
    """The answer to a command."""
    said = client.get("api/v2", cmd=command, **query)["response"]
    if said["result"] != "success":
        # Older versions say so with a good status.
        message = client.hide(str(said.get("message") or "no reason given"))[:300]
        raise Refused(f"{client.name} refused: {message}", 401 if "apikey" in message.lower() else 400)
    return said["data"]


def _probe(client: Client) -> None:
    _ask(client, "get_date_formats")


def _activity(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = _ask(client, "get_activity")
    # Of numbers some are texts, by its version.
    return {"streams": int(found["stream_count"]), "sessions": [_session(each) for each in found["sessions"]]}


def _session(session: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": session.get("friendly_name") or session.get("user"),
        "title": session["full_title"],
        "type": session.get("media_type"),
        "state": session.get("state"),
        "progress_percent": int(session.get("progress_percent") or 0),
        "player": session.get("player"),
        "device": session.get("product"),
        "transcoding": session.get("transcode_decision") == "transcode",
        "bandwidth_kilobits_per_second": int(session.get("bandwidth") or 0),
    }


def _history(client: Client, arguments: Mapping[str, Any]) -> Any:
    said = {name: arguments.get(name) for name in ("user", "search", "media_type", "start_date")}
    found = _ask(client, "get_history", length=arguments.get("limit", LISTED), **said)
    return {"total": found["recordsFiltered"], "plays": [_play(each) for each in found["data"]]}


def _play(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": row.get("friendly_name") or row.get("user"),
        "title": row["full_title"],
        "type": row.get("media_type"),
        "started_at": _time(row.get("started")),
        "stopped_at": _time(row.get("stopped")),
        "percent_complete": int(row.get("percent_complete") or 0),
        "player": row.get("player"),
    }


def _time(epoch_seconds: int | None) -> str | None:
    return datetime.fromtimestamp(int(epoch_seconds), UTC).isoformat()[:19] + "Z" if epoch_seconds else None


TYPE = ServiceType(
    name="tautulli",
    title="Tautulli",
    probe=_probe,
    key_in=lambda config: in_query("apikey"),
    tools=(
        Tool("tautulli_activity", "Who watches or hears what now, and how it is sent", {}, _activity, "tautulli"),
        Tool(
            "tautulli_history",
            "What was played, the latest first",
            {
                "user": _NAME,
                "search": _NAME,
                "media_type": {"enum": ["movie", "episode", "track", "live"]},
                "start_date": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "Only of this day"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            },
            _history,
            "tautulli",
        ),
    ),
)
