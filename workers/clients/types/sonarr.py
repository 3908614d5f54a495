"""Sonarr: series that are watched for. Its API, version 3: https://sonarr.tv/docs/api."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.clients.types._arr import Arr

# Of the episodes there are when a series is added, and after.
_MONITOR = ("all", "future", "missing", "existing", "firstSeason", "pilot", "none")


def _adds(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "seasonFolder": True,
        # The third version of Sonarr wants one, later ones pass it over.
        "languageProfileId": 1,
        "addOptions": {
            "monitor": arguments.get("monitor", "all"),
            "searchForMissingEpisodes": arguments.get("search_now", True),
        },
    }


def _shows(series: Mapping[str, Any]) -> dict[str, Any]:
    statistics = series.get("statistics") or {}
    return {
        "status": series.get("status"),
        "seasons": sum(season["seasonNumber"] > 0 for season in series.get("seasons") or []),
        "episodes": statistics.get("episodeCount"),
        "episodes_with_file": statistics.get("episodeFileCount"),
    }


TYPE = Arr(
    "sonarr", "Sonarr", "series", "series", "series", "tvdb", _adds, _shows, {"monitor": {"enum": list(_MONITOR)}}
).service_type()
