"""Label Studio: its tasks and their sound, and texts written to it as annotations, each once.

Measured with 1.23: annotations are not checked against the project's configuration, so the names of its controls are
read from there; a second annotation of the same ``unique_id`` is answered 409, and no answer but an export shows which
one has it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from workers.errors import BadInput, RetryLater, WorkError

# It lists a hundred tasks with all that is in them in half a second.
PAGE_TASKS = 200
# A token that was made from a personal one is good for 300 s.
_TOKEN_SECONDS = 240.0
# Where a personal access token makes another.
REFRESH_PATH = "api/token/refresh/"
_COPY_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0
_GONE = (404, 410)
Value = TypeVar("Value")


class TaskGone(WorkError):
    """The task is no more in Label Studio."""

    code = "task_gone"


class Refused(BadInput):
    """Label Studio does not take our credential."""

    code = "refused"


class Away(RetryLater):
    """Label Studio does not answer at all."""


def is_personal(api_key: str) -> bool:
    """Whether the key is a personal access token, which is only good for making others."""
    return api_key.count(".") == 2


@dataclass(frozen=True)
class Project:
    """Where texts go: the control of the project's configuration, and what it belongs to.

    ``data_key`` names the field of a task's data that holds the address of its sound.
    """

    title: str
    from_name: str
    to_name: str
    data_key: str


@dataclass(frozen=True)
class Listed:
    """A task as Label Studio has it."""

    id: int
    data: Mapping[str, Any]
    labeled: bool
    draft: str | None


class LabelStudio:
    """One project of a Label Studio.

    Args:
        url: Where it is.
        api_key: A legacy token or a personal access token.

    Every method raises `RetryLater` while it is away, and `BadInput` where it does not know us.
    """

    def __init__(self, url: str, api_key: str, project_id: int, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/") + "/"
        self._api_key = api_key
        self._project_id = project_id
        self._timeout = (min(5.0, timeout_seconds), timeout_seconds)
        self._lock = threading.Lock()
        self._bearer = ""
        self._bearer_until = 0.0

    def project(self) -> Project:
        """What the project says of itself.

        Raises:
            BadInput: it has no text area that belongs to sound.
        """
        path = f"api/projects/{self._project_id}/"
        answer = self._checked(self._ask("GET", path), path)
        return _project(*_told(answer, lambda found: (str(found["title"]), str(found["label_config"]))))

    def tasks(self, *, newer_than: int = 0) -> Iterator[Listed]:
        """The project's tasks, the newest first, down to (without) number ``newer_than``."""
        page = 1
        while True:
            query = {"project": self._project_id, "page": page, "page_size": PAGE_TASKS, "fields": "all"}
            order = json.dumps({"ordering": ["-tasks:id"]})
            answer = self._ask("GET", "api/tasks/", params=query | {"query": order})
            if answer.status_code in _GONE and page > 1:
                # A page beyond the last.
                return
            tasks = _told(self._checked(answer, "the list of tasks"), lambda found: list(found["tasks"]))
            for task in tasks:
                if task["id"] <= newer_than:
                    return
                yield Listed(
                    task["id"], task["data"], bool(task.get("is_labeled")), _draft(task.get("predictions") or [])
                )
            if len(tasks) < PAGE_TASKS:
                return
            page += 1

    def has(self, task_id: int) -> bool:
        """Whether there is such a task (still)."""
        answer = self._ask("GET", f"api/tasks/{task_id}/")
        if answer.status_code in _GONE:
            return False
        self._checked(answer, f"task {task_id}")
        return True

    def annotate(self, project: Project, task_id: int, text: str, *, unique_id: str, worked_seconds: float) -> int:
        """The number of the annotation that now holds the text; the same one however often it is called.

        Raises:
            TaskGone: there is no such task any more.
        """
        body = {
            "result": [
                {
                    # It refuses a second one by ``unique_id``, but shows that to nobody; this it shows.
                    "id": unique_id,
                    "from_name": project.from_name,
                    "to_name": project.to_name,
                    "type": "textarea",
                    "value": {"text": [text]},
                }
            ],
            "unique_id": unique_id,
            "lead_time": round(worked_seconds, 2),
        }
        answer = self._ask("POST", f"api/tasks/{task_id}/annotations/", json=body)
        if (answer.status_code in (400, 409) and "unique_id" in answer.text) or answer.status_code == 409:
            # An attempt whose answer was lost.
            known = self.annotation(task_id, unique_id)
            if known is not None:
                return known
        if answer.status_code in _GONE:
            raise TaskGone(f"Task {task_id} was removed from Label Studio.")
        return _told(self._checked(answer, f"the text of task {task_id}"), lambda made: int(made["id"]))

    def annotation(self, task_id: int, unique_id: str) -> int | None:
        """The number of the task's annotation that was written with this ``unique_id``; None where there is none.

        Raises:
            TaskGone: there is no such task any more.
        """
        answer = self._ask("GET", f"api/tasks/{task_id}/annotations/")
        if answer.status_code in _GONE:
            raise TaskGone(f"Task {task_id} was removed from Label Studio.")
        return _told(
            self._checked(answer, f"the annotations of task {task_id}"),
            lambda found: next(
                (int(each["id"]) for each in found if any(part.get("id") == unique_id for part in each["result"])), None
            ),
        )

    def fetch(self, address: str, into: Path, *, most_bytes: int) -> None:
        """The sound at ``address``, as a task's data names it, stored as ``into``.

        Only what lies at Label Studio itself is asked for with our credential, and nothing but that is fetched here.

        Raises:
            BadInput: it lies elsewhere, is not there, or is too large.
            Refused: our credential opens nothing; that says nothing of the sound.
            RetryLater: it is not to be had now.
            Away: nor is any other.
        """
        elsewhere = BadInput(f"{address[:200]!r} does not lie at Label Studio.", code="sound_elsewhere")
        try:
            at = urljoin(self._url, address)
            if urlsplit(at)[:2] != urlsplit(self._url)[:2]:
                raise elsewhere
        except ValueError:
            raise elsewhere from None
        with self._asked("GET", at, stream=True) as answer:
            if answer.is_redirect:
                # To a bucket, as a rule. Whoever may write tasks would choose what is asked for here.
                raise BadInput(
                    f"Label Studio does not hand over {address[:200]!r} itself, but sends elsewhere for it.",
                    code="sound_elsewhere",
                )
            self._checked(answer, f"the sound at {address[:200]}")
            size = 0
            with into.open("wb") as file:
                for piece in answer.iter_content(_COPY_BYTES):
                    size += len(piece)
                    if size > most_bytes:
                        raise BadInput(f"The sound is larger than {most_bytes >> 20} MiB.", code="file_too_large")
                    file.write(piece)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        with self._asked(method, urljoin(self._url, path), **options) as answer:
            # Read while the connection is open.
            _ = answer.content
            return answer

    @contextmanager
    def _asked(self, method: str, url: str, **options: Any) -> Iterator[requests.Response]:
        """The answer; once more with a fresh token where the one we had is not good any more."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                for fresh in (False, True):
                    headers = {"Authorization": self._credential(session, fresh=fresh)}
                    answer = session.request(
                        method, url, headers=headers, timeout=self._timeout, allow_redirects=False, **options
                    )
                    if answer.status_code != 401 or not self._is_personal:
                        break
                    answer.close()
                with answer:
                    yield answer
        except requests.RequestException as fault:
            raise Away(f"Label Studio is away ({type(fault).__name__}).") from fault

    @property
    def _is_personal(self) -> bool:
        return is_personal(self._api_key)

    def _credential(self, session: requests.Session, *, fresh: bool) -> str:
        if not self._is_personal:
            return f"Token {self._api_key}"
        with self._lock:
            if fresh or time.monotonic() > self._bearer_until:
                answer = session.post(
                    urljoin(self._url, REFRESH_PATH),
                    json={"refresh": self._api_key},
                    timeout=self._timeout,
                    # The body is a credential, too.
                    allow_redirects=False,
                )
                self._bearer = _told(self._checked(answer, "a token"), lambda made: str(made["access"]))
                self._bearer_until = time.monotonic() + _TOKEN_SECONDS
            return f"Bearer {self._bearer}"

    @staticmethod
    def _checked(answer: requests.Response, what: str) -> requests.Response:
        """The answer, if it is a good one."""
        status = answer.status_code
        if status < 300:
            return answer
        if status in (401, 403):
            raise Refused(f"Label Studio does not take LABEL_STUDIO_API_KEY (it answered {status}).")
        if status in _GONE:
            raise BadInput(f"Label Studio does not have {what} (it answered {status}).", code="not_found_there")
        raise RetryLater(f"Label Studio answered {status} to {what}.")


def _told(answer: requests.Response, read: Callable[[Any], Value]) -> Value:
    """What ``read`` finds in a good answer.

    Raises:
        RetryLater: it is not what Label Studio says, but somebody's before it, whose page is no answer.
    """
    try:
        return read(answer.json())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise RetryLater("What answered is not Label Studio, or not of a version that is known.") from None


def _project(title: str, config: str) -> Project:
    """Where texts go, by the project's labeling configuration.

    Raises:
        BadInput: there is no text area that belongs to sound.
    """
    try:
        tree = ElementTree.fromstring(config)
    except (ElementTree.ParseError, DefusedXmlException):
        raise BadInput("The project's labeling configuration cannot be read.", code="bad_project") from None
    sounds = {each.get("name"): each.get("value", "") for each in tree.iter() if each.tag in ("Audio", "AudioPlus")}
    for area in tree.iter("TextArea"):
        to_name, name = area.get("toName", ""), area.get("name", "")
        if to_name in sounds and name:
            return Project(title, name, to_name, sounds[to_name].lstrip("$"))
    raise BadInput(
        f"Project {title!r} has no TextArea that belongs to an Audio: texts would have no place.", code="bad_project"
    )


def _draft(predictions: list[Any]) -> str | None:
    """The text that somebody's model put beside the task; None without one, or with something else in its place."""
    for prediction in predictions:
        for part in _parts(prediction):
            value = part.get("value") if isinstance(part, dict) else None
            said = value.get("text") if isinstance(value, dict) else None
            if said:
                return " ".join(map(str, said)) if isinstance(said, list) else str(said)
    return None


def _parts(prediction: Any) -> list[Any]:
    found = prediction.get("result") if isinstance(prediction, dict) else None
    return found if isinstance(found, list) else []
