"""The tools of a Label Studio that is a service among others, by a real one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.outside.calling import call, client_of
from tests.studio import LEGACY
from tests.transcribing import tone
from workers.clients.looking import look
from workers.clients.service import Refused
from workers.clients.types import types


@pytest.mark.parametrize("kind", ["legacy", "personal"])
def test_projects_and_tasks_are_told_by_either_kind_of_token(real: Any, kind: str) -> None:
    (task,) = real.add(tone(0.5))
    said = {"from_name": "said", "to_name": "sound", "type": "textarea", "value": {"text": ["by hand"]}}
    made = real.ask("POST", f"api/tasks/{task}/annotations/", json={"result": [said]})
    assert made.status_code == 201, made.text
    key = LEGACY if kind == "legacy" else real.personal
    client = client_of("label_studio", real.url, key=key, seconds=60)
    assert look(types()["label_studio"], client).healthy
    projects = call(client, "label_studio_list_projects")["projects"]
    (project,) = [each for each in projects if each["id"] == real.project]
    assert project["title"] == "Voices"
    told = call(client, "label_studio_project_statistics", project_id=real.project)
    assert (told["tasks"] >= 1, told["annotations"] >= 1) == (True, True)
    found = call(client, "label_studio_get_task", task_id=task)
    assert (found["id"], found["project_id"], found["is_labeled"]) == (task, real.project, True)
    (annotation,) = found["annotations"]
    assert annotation["result"] == [{"name": "said", "text": ["by hand"]}]


def test_who_is_not_known_is_told_so(real: Any) -> None:
    found = look(types()["label_studio"], client_of("label_studio", real.url, key="0" * 40, seconds=60))
    assert not found.healthy
    with pytest.raises(Refused) as caught:
        call(client_of("label_studio", real.url, key="not.a.token", seconds=60), "label_studio_list_projects")
    assert caught.value.code == "upstream_unauthorized"
