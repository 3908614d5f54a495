"""Label Studio: its projects, how far they are, and what was said of a task. Its API: https://api.labelstud.io."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.clients.label_studio import REFRESH_PATH, is_personal
from workers.clients.service import Client
from workers.clients.service_type import KeyIn, ServiceType, in_header
from workers.clients.tools import Tool

LISTED = 50
_NUMBER = {"type": "integer", "minimum": 1, "required": True}
_LEGACY = in_header("Authorization", "Token ")


def _key_in(config: Mapping[str, Any]) -> KeyIn:
    # A personal one is only good for making others.
    return lambda key: ({}, {}) if is_personal(key) else _LEGACY(key)


def _get(client: Client, path: str, **query: Any) -> Any:
    """What is at a path; with a personal token by one that is made for it."""
    if client.key is None or not is_personal(client.key):
        return client.get(path, **query)
    made = client.post(REFRESH_PATH, {"refresh": client.key})["access"]
    return client.ask("GET", path, query=query, headers={"Authorization": f"Bearer {made}"})


def _probe(client: Client) -> None:
    _get(client, "api/projects/", page_size=1)["results"]


def _projects(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = _get(client, "api/projects/", page_size=arguments.get("limit", LISTED))
    return {"total": found["count"], "projects": [_project(each) for each in found["results"]]}


def _statistics(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = _get(client, f"api/projects/{arguments['project_id']}/")
    return _project(found) | {
        "annotations": found.get("total_annotations_number"),
        "predictions": found.get("total_predictions_number"),
        "skipped": found.get("skipped_annotations_number"),
        "ground_truth": found.get("ground_truth_number"),
        "created_at": found.get("created_at"),
    }


def _project(project: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": project["id"],
        "title": project["title"],
        "tasks": project.get("task_number"),
        "tasks_finished": project.get("finished_task_number"),
    }


def _task(client: Client, arguments: Mapping[str, Any]) -> Any:
    found = _get(client, f"api/tasks/{arguments['task_id']}/")
    return {
        "id": found["id"],
        "project_id": found.get("project"),
        "data": found["data"],
        "is_labeled": bool(found.get("is_labeled")),
        "annotations": [
            {
                "id": each["id"],
                "created_at": each.get("created_at"),
                "skipped": bool(each.get("was_cancelled")),
                "result": [{"name": part.get("from_name"), **(part.get("value") or {})} for part in each["result"]],
            }
            for each in found.get("annotations") or []
        ],
    }


TYPE = ServiceType(
    name="label_studio",
    title="Label Studio",
    probe=_probe,
    key_in=_key_in,
    tools=(
        Tool(
            "label_studio_list_projects",
            "List the projects of Label Studio and how far they are",
            {"limit": {"type": "integer", "minimum": 1, "maximum": 100}},
            _projects,
            "label_studio",
        ),
        Tool(
            "label_studio_project_statistics",
            "How far a project of Label Studio is: tasks, annotations, predictions",
            {"project_id": _NUMBER},
            _statistics,
            "label_studio",
        ),
        Tool(
            "label_studio_get_task",
            "What a task of Label Studio holds and what was said of it",
            {"task_id": _NUMBER},
            _task,
            "label_studio",
        ),
    ),
)
