"""management.md: deployments."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from models.base import utc_now
from models.db import Database
from tests import making
from tests.conftest import eventually
from tests.contract.conftest import Reach, assert_refused
from tests.contract.document import Document
from tests.contract.headings import MANAGEMENT, documented


@documented("Schedule Deployment")
@documented("Get Deployment Status")
@documented("List Deployments")
def test_a_deployment_of_the_documents_is_scheduled_shown_and_listed(
    reach: Reach, database: Database, worker: Any
) -> None:
    course = making.course(database, ["One.", "Two and three."])
    request = MANAGEMENT["Schedule Deployment"].request
    sent = request.body(curriculum_id=course)
    scheduled = reach(request, body=sent)
    assert scheduled.status_code == 201
    shown = scheduled.get_json()
    (prefix,) = re.findall(r"`(deploy_)…`", Document("decisions").sentence("Integers: services"))
    assert shown["id"].startswith(prefix)
    # What was sent comes back; its time is past, so it is begun at once.
    assert (shown["curriculum_id"], shown["scheduled_time"]) == (course, sent["scheduled_time"])
    assert shown["voice_configs"] == [sent["voice_configs"][0] | {"speed": 1.0, "format": "wav"}]
    look = MANAGEMENT["Get Deployment Status"].request

    def completed() -> Any:
        found = reach(look, id=shown["id"])
        assert found.status_code == 200
        return found.get_json() if found.get_json()["status"] == "completed" else None

    done = eventually(completed, within_seconds=20)
    assert (done["progress"], done["total_segments"]) == (1.0, 2)
    assert done["voices"][0]["fallback"].startswith(sent["voice_configs"][0]["provider"])
    listed = reach(MANAGEMENT["List Deployments"].request)
    assert listed.status_code == 200
    assert listed.get_json() == {"deployments": [done], "total": 1, "limit": 50, "offset": 0}


@documented("Start Deployment")
@documented("Pause Deployment")
@documented("Resume Deployment")
@documented("Cancel Deployment")
def test_a_deployment_is_paused_resumed_started_and_cancelled_with_the_words_of_the_decisions(
    reach: Reach, database: Database
) -> None:
    (row,) = [row for row in Document("decisions")["State words shown"].rows if row["stored"] == "queued"]
    course = making.course(database, ["One.", "Two and three."])
    request = MANAGEMENT["Schedule Deployment"].request
    tomorrow = (utc_now() + timedelta(days=1)).isoformat()
    scheduled = reach(request, body=request.body(curriculum_id=course, scheduled_time=tomorrow)).get_json()
    assert scheduled["status"] == row["deployments"]
    for title, status, word in (
        ("Pause Deployment", 200, "paused"),
        ("Resume Deployment", 200, row["deployments"]),
        ("Start Deployment", 202, row["deployments"]),
        ("Cancel Deployment", 200, "cancelled"),
    ):
        answer = reach(MANAGEMENT[title].request, id=scheduled["id"])
        assert (answer.status_code, answer.get_json()["id"], answer.get_json()["status"]) == (
            status,
            scheduled["id"],
            word,
        )
        if title == "Start Deployment":
            # Nobody may have begun it by the time it is cancelled, or somebody may; both are allowed.
            assert answer.get_json()["scheduled_time"] > answer.get_json()["created_at"]
    for title in ("Pause Deployment", "Resume Deployment", "Start Deployment"):
        assert_refused(reach(MANAGEMENT[title].request, id=scheduled["id"]), 409, "CONFLICT")
        assert_refused(reach(MANAGEMENT[title].request, id="nothing"), 404, "NOT_FOUND")
    # A finished one is removed.
    removed = reach(MANAGEMENT["Cancel Deployment"].request, id=scheduled["id"])
    assert (removed.status_code, set(removed.get_json())) == (200, {"message"})
    assert_refused(reach(MANAGEMENT["Cancel Deployment"].request, id=scheduled["id"]), 404, "NOT_FOUND")
