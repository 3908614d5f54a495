"""The page as a person sees it, in a real browser, while a course is being spoken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.journeys.product import PASSWORD, ROOT, Voiceworks

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")
def test_the_page_shows_the_job_and_plays_a_segment_of_the_right_length(product: Voiceworks, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    course = json.loads((ROOT / "app" / "samples" / "longitude.json").read_text())
    stored = product.api("POST", "/api/curriculum", json=course).json()
    login = product.api("POST", "/api/auth/login", json={"username": "admin", "password": PASSWORD}).json()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(product.url(f"/#token={login['access_token']}"))
        page.locator(f'.course[data-id="{stored["id"]}"]').click(timeout=20_000)
        page.wait_for_selector(".segment button.play", timeout=20_000)
        assert "token" not in page.url
        job = product.api("POST", "/api/tts/prefetch/topic", json={"curriculum_id": stored["id"]}).json()["job_id"]
        page.wait_for_selector("#jobs .job progress", timeout=20_000)
        # The bar goes when the course is done, which may be soon.
        moved = "() => (document.querySelector('#jobs .job progress') || {value: 1}).value > 0"
        eventually(lambda: page.evaluate(moved))
        page.screenshot(path=tmp_path / "speaking.png")
        page.locator(".segment button.play").first.click()

        def duration() -> Any:
            return page.evaluate("() => { const p = document.querySelector('#player'); return p.duration || 0 }")

        shown = eventually(duration, within_seconds=20)
        text = stored["content"][0]["segments"][0]["text"]
        exact = float(product.speak(text).headers["X-TTS-Duration-Seconds"])
        assert shown == pytest.approx(exact, abs=0.05)
        eventually(lambda: page.evaluate("() => document.querySelector('#player').currentTime") > 0.2)
        eventually(lambda: product.api("GET", f"/api/jobs/{job}").json()["state"] == "succeeded", within_seconds=60)
        browser.close()
    assert not faults
