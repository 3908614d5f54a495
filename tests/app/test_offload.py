"""What is done in a native thread: its errors reach whoever asked, and nobody else."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import API_KEY
from tests.web import serving


def test_an_error_that_is_answered_is_not_logged(clean: None, tmp_path: Path) -> None:
    with serving(tmp_path / "web.log") as web:
        refused = web.post("/api/users", json={"username": "ada", "password": "short"}, headers={"X-API-Key": API_KEY})
        said = web.child.log_path.read_text()
    assert (refused.status_code, "at least 8" in refused.text) == (400, True)
    assert "Traceback" not in said
    assert "greenlet" not in said
