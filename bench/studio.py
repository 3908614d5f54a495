"""A real Label Studio of its own, from the environment that ``LABEL_STUDIO_HOME`` names: killed, held up, read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

TOKEN = "0123456789abcdef0123456789abcdef01234567"
_CONFIG = """<View>
  <Audio name="sound" value="$audio"/>
  <TextArea name="said" toName="sound" rows="4" editable="true" maxSubmissions="1"/>
</View>"""
# The first start makes its database.
_START_SECONDS = 240.0
# No more files than this come in one request.
_FILES_AT_ONCE = 50


@dataclass(frozen=True)
class There:
    """An annotation as Label Studio has it; ``unique_id`` only where an export tells it."""

    id: int
    text: str
    unique_id: str | None = None


class Studio:
    """One project, on a port of this machine."""

    def __init__(self, home: Path, folder: Path, port: int) -> None:
        self._home, self._folder, self._port = home.absolute(), folder, port
        self.url = f"http://127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        self.start()
        body = {"title": "Voices of the storm", "label_config": _CONFIG}
        self.project: int = self._asked("POST", "api/projects/", json=body).json()["id"]

    def start(self) -> None:
        """It serves; what it had, it has."""
        said = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "LATEST_VERSION_CHECK": "False",
            "COLLECT_ANALYTICS": "False",
            "SENTRY_DSN": "",
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # Its webhooks reach this machine.
            "SSRF_PROTECTION_ENABLED": "false",
        }
        argv = [
            *(f"{self._home}/bin/label-studio", "start", "--data-dir", f"{self._folder}/data", "--no-browser"),
            *("--internal-host", "127.0.0.1", "-p", str(self._port), "--user-token", TOKEN),
            *("--username", "somebody@example.org", "--password", "a password of the bench"),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, cwd=self._folder, env=said, stdout=log, stderr=log)
        ends = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-3000:]
            assert time.monotonic() < ends, "Label Studio did not start in time"
            time.sleep(0.2)

    def kill(self) -> None:
        """It is gone, without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def hold(self, seconds: float) -> None:
        """It neither answers nor refuses for so long, and then goes on with what it was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            self._process.send_signal(signal.SIGCONT)

    def add(self, sounds: Mapping[str, bytes]) -> None:
        """New tasks, one for each file."""
        names = list(sounds)
        for start in range(0, len(names), _FILES_AT_ONCE):
            some = names[start : start + _FILES_AT_ONCE]
            files = [(f"file{number}", (name, sounds[name], "audio/wav")) for number, name in enumerate(some)]
            self._asked("POST", f"api/projects/{self.project}/import", files=files)

    def tell(self, url: str, secret: str) -> None:
        """It tells ``url`` of all that happens to the project."""
        headers = {"X-Voiceworks-Secret": secret}
        body = {"url": url, "project": self.project, "headers": headers, "send_payload": True}
        self._asked("POST", "api/webhooks/", json=body | {"send_for_all_actions": True})

    def exported(self) -> dict[int, list[There]]:
        """The annotations of every task, as its own export has them."""
        path = f"api/projects/{self.project}/export?exportType=JSON&download_all_tasks=true"
        tasks: list[dict[str, Any]] = self._asked("GET", path).json()
        return {
            task["id"]: [There(each["id"], _text(each["result"]), each["unique_id"]) for each in task["annotations"]]
            for task in tasks
        }

    def read_back(self) -> dict[int, list[There]]:
        """The same as its own client for Python sees them."""
        program = (
            "import json, sys; from label_studio_sdk.client import LabelStudio; url, key, project = sys.argv[1:];"
            "tasks = LabelStudio(base_url=url, api_key=key, timeout=120).tasks.list(project=int(project), fields='all',"
            " page_size=200);"
            "print(json.dumps({task.id: [[each['id'], each['result']] for each in task.annotations]"
            " for task in tasks}))"
        )
        argv = [f"{self._home}/bin/python", "-c", program, self.url, TOKEN, str(self.project)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600, cwd=self._folder, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, list[list[Any]]] = json.loads(done.stdout.splitlines()[-1])
        return {
            int(task): [There(number, _text(result)) for number, result in annotations]
            for task, annotations in found.items()
        }

    def refused_as_written(self) -> int:
        """How often it said that it has a text already: an answer was lost, or a sender."""
        # It logs every line twice.
        lines = set((self._folder / "log").read_text(errors="replace").splitlines())
        return sum('"POST /api/tasks/' in line and '/annotations/ HTTP/1.1" 409' in line for line in lines)

    def version(self) -> str:
        """Which Label Studio it is."""
        return str(self._asked("GET", "api/version").json()["release"])

    def _asked(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Token {TOKEN}"}
        answer = requests.request(method, f"{self.url}/{path}", headers=headers, timeout=600, **options)
        answer.raise_for_status()
        return answer

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.RequestException:
            return False


def _text(result: Sequence[Mapping[str, Any]]) -> str:
    return "\0".join(line for part in result for line in part["value"]["text"])
