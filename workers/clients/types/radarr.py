"""Radarr: films that are watched for. Its API, version 3: https://radarr.video/docs/api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.clients.types._arr import Arr


def _adds(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"addOptions": {"searchForMovie": arguments.get("search_now", True)}}


def _shows(movie: Mapping[str, Any]) -> dict[str, Any]:
    return {"has_file": bool(movie.get("hasFile"))}


TYPE = Arr("radarr", "Radarr", "movie", "movies", "film", "tmdb", _adds, _shows).service_type()
