"""Short ways to deploy a course over HTTP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models import curricula
from models.base import iso, utc_now
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.jobs.tables import Job
from tests.conftest import eventually

TEXTS = [["Good morning.", "* * *", "This is the first topic."], ["And this is the second."]]
TITLES = ["A/B: is it \\ safe?", "日本"]
NOVA: dict[str, Any] = {"voice_id": "nova"}
QUICK: dict[str, Any] = {"voice_id": "nova", "speed": 1.25, "format": "mp3"}


class Deployments:
    """The endpoints, as one account sees them."""

    def __init__(self, http: FlaskClient, headers: dict[str, str]) -> None:
        self.http, self.headers = http, headers

    def schedule(self, curriculum_id: str, *configs: dict[str, Any], **body: Any) -> TestResponse:
        """POST of a new one."""
        wanted = {"curriculum_id": curriculum_id, "voice_configs": list(configs) or [NOVA]} | body
        return self.http.post("/api/deployments", json=wanted, headers=self.headers)

    def get(self, path: str = "", **query: object) -> TestResponse:
        """GET below ``/api/deployments``."""
        return self.http.get(f"/api/deployments{path}", query_string=query, headers=self.headers)

    def act(self, deployment_id: str, action: str) -> TestResponse:
        """POST of an action."""
        return self.http.post(f"/api/deployments/{deployment_id}/{action}", headers=self.headers)

    def delete(self, deployment_id: str) -> TestResponse:
        """DELETE of one."""
        return self.http.delete(f"/api/deployments/{deployment_id}", headers=self.headers)

    def until(self, deployment_id: str, *statuses: str) -> dict[str, Any]:
        """What is shown of it once it has one of these statuses."""

        def shown() -> dict[str, Any] | None:
            found = self.get(f"/{deployment_id}").get_json()
            return found if found["status"] in statuses else None

        return eventually(shown, within_seconds=30)

    def made(self, curriculum_id: str, *configs: dict[str, Any], **body: Any) -> dict[str, Any]:
        """A deployment that is completed, as it is shown."""
        answer = self.schedule(curriculum_id, *configs, **body)
        assert answer.status_code == 201, answer.text
        return self.until(answer.get_json()["id"], "completed")

    def bundle(self, deployment_id: str) -> zipfile.ZipFile:
        """The bundle, opened."""
        answer = self.get(f"/{deployment_id}/bundle")
        assert (answer.status_code, answer.mimetype) == (200, "application/zip")
        return zipfile.ZipFile(io.BytesIO(answer.data))


def store_course(database: Database, texts: Sequence[Sequence[str]], titles: Sequence[str]) -> str:
    """The id of a stored course."""
    topics = [
        NewTopic(title=title, id=f"t{number}", segments=[NewSegment(text, f"s{at}") for at, text in enumerate(each)])
        for number, (title, each) in enumerate(zip(titles, texts, strict=True))
    ]
    with database.transaction() as session:
        return curricula.create(
            session, title="Ein schöner Kurs", description="", topics=topics, extra={}, account_id=None
        ).id


def in_hours(hours: float) -> str:
    """A time so many hours from now."""
    return str(iso(utc_now() + timedelta(hours=hours)))


def row(database: Database, job_id: str) -> Job:
    """The job's row as it is now."""
    with database.transaction() as session:
        return session.get_one(Job, job_id)
