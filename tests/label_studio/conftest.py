"""A real Label Studio on a port of this machine; skipped where ``LABEL_STUDIO_HOME`` names no environment with one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import eventually
from tests.studio import CONFIG, LEGACY
from tests.tasks.conftest import process, root

__all__ = ["process", "root"]

HOME = os.environ.get("LABEL_STUDIO_HOME", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what needs a Label Studio, where there is none; the first start makes its database, for a minute or so."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))
            if not HOME:
                item.add_marker(pytest.mark.skip(reason="LABEL_STUDIO_HOME names no environment with a Label Studio"))


class Real:
    """A Label Studio with one project, and its administrator's two tokens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.project: int = self.ask("POST", "api/projects/", json={"title": "Voices", "label_config": CONFIG}).json()[
            "id"
        ]
        # Each has one: it cannot be asked for twice.
        self.personal: str = self.ask("POST", "api/token/").json()["token"]

    def start(self) -> None:
        """It serves."""
        said = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LATEST_VERSION_CHECK": "False",
            "COLLECT_ANALYTICS": "False",
            "SENTRY_DSN": "",
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # Its webhooks reach this machine.
            "SSRF_PROTECTION_ENABLED": "false",
        }
        argv = [
            *(f"{Path(HOME).absolute()}/bin/label-studio", "start", "--data-dir", str(self.folder / "data")),
            *("--no-browser", "--internal-host", "127.0.0.1", "-p", str(self.port)),
            *("--username", "somebody@example.org", "--password", "a password for tests", "--user-token", LEGACY),
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, cwd=self.folder, env=said, stdout=log, stderr=log)
        eventually(self._answers, within_seconds=240)

    def kill(self) -> None:
        """It is gone, without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """An answer to its administrator."""
        headers = options.pop("headers", {"Authorization": f"Token {LEGACY}"})
        return requests.request(
            method, f"{self.url}/{path}", headers=headers, timeout=60, allow_redirects=False, **options
        )

    def add(self, *sounds: bytes) -> list[int]:
        """The numbers of new tasks."""
        made: list[int] = []
        for sound in sounds:
            file = {"file": (f"take {len(made)}.wav", sound, "audio/wav")}
            path = f"api/projects/{self.project}/import?return_task_ids=true"
            made += self.ask("POST", path, files=file).json()["task_ids"]
        return made

    def read_back(self, task: int) -> list[dict[str, Any]]:
        """The annotations of a task, as Label Studio's own client for Python sees them."""
        program = (
            "import json, sys; from label_studio_sdk.client import LabelStudio; url, key, task = sys.argv[1:];"
            "found = LabelStudio(base_url=url, api_key=key).annotations.list(id=int(task));"
            "print(json.dumps([{'id': each.id, 'result': each.result, 'lead_time': each.lead_time} for each in found]))"
        )
        argv = [f"{Path(HOME).absolute()}/bin/python", "-c", program, self.url, LEGACY, str(task)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return found

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.RequestException:
            time.sleep(0.3)
            return False


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """It runs until the tests end."""
    running = Real(tmp_path_factory.mktemp("label-studio"))
    yield running
    running.kill()
