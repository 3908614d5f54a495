"""The page where wake words are trained, as a person with a microphone sees it, in a real browser."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hibari")

from tests.alexa import file_of, keep_model, spoken
from tests.conftest import eventually
from tests.journeys.product import PASSWORD, Voiceworks
from tests.journeys.test_page import CHROMIUM, QUIET
from workers.wakeword.options import Options

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here"),
]

STAND_IN = Path(__file__).with_name("training_stand_in.py")
MICROPHONE_HZ = 48_000
# Heard once every so many seconds; a recording, which takes three, has it whole.
EVERY_SECONDS = 3.5
ELSEWHERE = "wake.example"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiceworks]:
    """The product without speech workers, whose trainings take a moment; it knows the word "alexa"."""
    programs = ("web", "worker_upkeep", "worker_io", "worker_train", "beat")
    product = Voiceworks(tmp_path_factory.mktemp("trained"), programs=programs)
    product.environment["WORKER_TRAINER"] = f"{sys.executable} {STAND_IN}"
    try:
        product.start()
        able = "select count(*) from workers where not draining and (node like 'train@%' or node like 'io@%')"
        eventually(lambda: product.value(able) == 2, within_seconds=60)
        keep_model(product.silent, product.var_dir)
        yield product
        product.stop()
    finally:
        product.demolish()


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears, over and over: the word, said by the packaged voice."""
    file = tmp_path_factory.mktemp("microphone") / "alexa.wav"
    sound = spoken((1.0, "Alexa."), seconds=EVERY_SECONDS, rate=MICROPHONE_HZ)
    file.write_bytes(file_of(sound, MICROPHONE_HZ))
    return file


@contextmanager
def opened(
    product: Voiceworks, microphone: Path, *, allowed: bool = True, host: str = "127.0.0.1", width: int = 1200
) -> Iterator[Any]:
    """The page, signed in; whatever goes wrong in it fails the test."""
    from playwright.sync_api import sync_playwright

    login = product.api("POST", "/api/auth/login", json={"username": "admin", "password": PASSWORD}).json()
    heard = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}")
    names = (f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, *heard, *names])
        context = browser.new_context(viewport={"width": width, "height": 900})
        if allowed:
            context.grant_permissions(["microphone"])
        page = context.new_page()
        page.set_default_timeout(20_000)
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        # What the page's policy forbids is told here, too.
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(product.url(f"/wakewords#token={login['access_token']}").replace("127.0.0.1", host))
        page.wait_for_selector("#models a.word")
        yield page
        browser.close()
    assert not faults


def until_heard(page: Any, times: int) -> None:
    """Waits until the page says so often that it has heard the word."""

    def heard() -> bool:
        assert page.is_hidden("#try-microphone"), page.inner_text("#try-microphone")
        assert page.get_attribute("#listen", "aria-pressed") == "true", page.inner_text("#listen-state")
        words = page.inner_text("#heard")
        number = re.search(r"\d+", words)
        return (int(number.group()) if number else int("once" in words)) >= times

    eventually(heard, within_seconds=60)


def test_the_word_is_heard_live_and_a_clip_of_it_is_kept(trained: Voiceworks, microphone: Path, tmp_path: Path) -> None:
    with opened(trained, microphone) as page:
        page.click('a.word[href="#model/alexa"]')
        page.click("#model-try")
        until_heard(page, 2)
        page.screenshot(path=tmp_path / "listening.png")
        # Not every score is one: the word is said once every few seconds.
        assert page.locator("#score-plot .mark").count() <= 4
        assert page.get_attribute("#listen", "aria-pressed") == "true"
        page.click("#missed")
        eventually(lambda: "1 clip kept" in page.inner_text("#capture-result"))
        page.click("#listen")
        assert page.get_attribute("#listen", "aria-pressed") == "false"
        ((slug, kind, seconds),) = trained.rows("select slug, kind, duration_seconds from wake_captures")
        assert (slug, kind) == ("alexa", "miss")
        assert 2.5 < seconds <= 3.1
        page.set_input_files("#try-file", microphone)
        eventually(lambda: page.inner_text("#file-result").startswith("Heard."), within_seconds=30)


def test_a_recorded_word_is_trained_and_its_detector_hears_it(
    trained: Voiceworks, microphone: Path, tmp_path: Path
) -> None:
    with opened(trained, microphone) as page:
        page.click('a.word[href="#new"]')
        page.click("#train")
        assert "Which word?" in page.inner_text("#new-error")
        page.fill("#word", "Alexa please")
        page.click("#train")
        assert "at least once" in page.inner_text("#new-error")
        page.click("#record")
        page.wait_for_selector(".take", timeout=15_000)
        assert "3.0 s" in page.inner_text(".take")
        assert page.locator(".take .warned").count() == 0
        page.set_input_files("#take-files", microphone)
        eventually(lambda: page.locator(".take").count() == 2)
        page.click(".take:last-child button.quiet")
        page.click("#options summary")
        page.fill("input[name=num_epochs]", "7")
        page.screenshot(path=tmp_path / "form.png", full_page=True)
        page.click("#train")
        page.wait_for_selector("#curve path.training", state="attached")
        page.screenshot(path=tmp_path / "training.png", full_page=True)
        page.wait_for_selector("#model:not([hidden])")
        eventually(lambda: page.inner_text("#model-title") == "Alexa please")
        page.wait_for_selector("#det:not([hidden])")
        page.screenshot(path=tmp_path / "model.png", full_page=True)
        shown = page.inner_text("#model")
        assert "0 in 0.92 h: at most 3.3 an hour with 95 % confidence" in shown
        assert "2 of 100" in shown
        assert "alexis" in page.inner_text("#near-words")
        ((params, word),) = trained.rows("select params, wake_word from jobs join wake_trainings on job_id = jobs.id")
        assert word == "Alexa please"
        # What the form shows is what counts, whatever the server's own defaults are.
        assert params["model_type"] == "embedding"
        assert vars(Options()) | {"num_epochs": 7} == params["options"]
        # The slider tells what follows before anything is stored.
        page.locator("#threshold").fill("0.3")
        assert "2 in 0.92 h" in page.inner_text("#threshold-says")
        page.click("#threshold-save")
        eventually(lambda: trained.api("GET", "/api/models/alexa-please").json()["threshold"] == pytest.approx(0.3))
        page.click("#model-try")
        until_heard(page, 1)
        with page.expect_download() as download:
            page.click("#model-download")
        assert download.value.suggested_filename == "Alexa please.zip"


def test_a_training_is_cancelled(trained: Voiceworks, microphone: Path) -> None:
    with opened(trained, microphone, width=400) as page:
        page.click('a.word[href="#new"]')
        page.fill("#word", "slow word")
        page.set_input_files("#take-files", microphone)
        page.click("#train")
        page.wait_for_selector("#curve path.training", state="attached")
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        page.click("#training-pause")
        page.wait_for_selector("#training-resume:visible")
        page.wait_for_selector("#training-pause", state="hidden")
        page.click("#training-resume")
        page.wait_for_selector("#training-pause:visible")
        page.click("#training-cancel")
        eventually(lambda: page.inner_text("#training-state") == "cancelled")
        page.click("#training-delete")
        eventually(lambda: not page.locator("#trainings a", has_text="slow word").count())


def test_what_the_server_refuses_is_shown_beside_the_button(
    trained: Voiceworks, microphone: Path, tmp_path: Path
) -> None:
    silence = tmp_path / "silence.wav"
    silence.write_bytes(file_of(spoken(seconds=2.0) * 0))
    with opened(trained, microphone) as page:
        page.click('a.word[href="#new"]')
        page.fill("#word", "r2d2")
        page.set_input_files("#take-files", silence)
        assert "nearly silent" in page.inner_text(".take")
        page.click("#train")
        eventually(lambda: "'2'" in page.inner_text("#new-error"))
        page.fill("#word", "computer")
        page.click("#train")
        eventually(lambda: "silent" in page.inner_text("#new-error"))
        # What was typed and recorded is still there.
        assert (page.input_value("#word"), page.locator(".take").count()) == ("computer", 1)


def test_without_leave_to_use_the_microphone_the_page_says_so_and_takes_files(
    trained: Voiceworks, microphone: Path
) -> None:
    with opened(trained, microphone, allowed=False) as page:
        page.click('a.word[href="#new"]')
        page.click("#record")
        eventually(lambda: "may not use the microphone" in page.inner_text("#new-microphone"))
        page.click("#listen")
        eventually(lambda: "may not use the microphone" in page.inner_text("#try-microphone"))
        page.set_input_files("#take-files", microphone)
        eventually(lambda: page.locator(".take").count() == 1)


def test_on_an_insecure_origin_the_page_says_why_there_is_no_microphone(trained: Voiceworks, microphone: Path) -> None:
    with opened(trained, microphone, host=ELSEWHERE) as page:
        page.click('a.word[href="#new"]')
        for place, button in (("#new-microphone", "#record"), ("#try-microphone", "#listen")):
            assert "https" in page.inner_text(place)
            assert page.is_disabled(button)


def test_versions_are_compared_and_one_is_deleted(trained: Voiceworks, microphone: Path) -> None:
    for threshold in (0.4, 0.6):
        keep_model(trained.silent, trained.var_dir, wake_word="computer", threshold=threshold)
    with opened(trained, microphone) as page:
        page.click('a.word[href="#model/computer"]')
        eventually(lambda: "in use" in page.inner_text("#version-list li:first-child"))
        page.select_option("#compare-with", "computer@1")
        page.click("#compare-form button")
        page.wait_for_selector("#compared table")
        row = page.inner_text("#compared tbody tr:first-child")
        assert row.split() == ["Threshold", "0.600", "0.400"]
        page.click("#version-list li:last-child a")
        eventually(lambda: "VERSION 1" in page.inner_text("#model-eyebrow").upper())
        page.click("#model-activate")
        eventually(lambda: trained.api("GET", "/api/models/computer").json()["version"] == 1)
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
        page.click("#model-delete")
        eventually(lambda: trained.api("GET", "/api/models/computer").json()["version"] == 2)
        assert asked == ["Delete version 1 of “computer”? It cannot be brought back."]


def test_a_client_signs_in_with_a_key_and_sees_nothing_that_only_administrators_may(
    trained: Voiceworks, microphone: Path
) -> None:
    key = trained.add_client("visitor")
    with opened(trained, microphone) as page:
        assert page.is_visible("#cache-build")
        page.click("#sign-out")
        page.click("#login summary")
        page.fill("#api-key", "vw_of_nobody")
        page.click("#key-form button")
        page.wait_for_selector("#login-error:not([hidden])")
        page.fill("#api-key", key)
        page.click("#key-form button")
        page.wait_for_selector("#models a.word")
        eventually(lambda: "Not built yet" in page.inner_text("#cache-says"))
        assert page.is_hidden("#cache-build")
        # The other page of the same tab knows who it is.
        page.click('.pages a[href="/"]')
        page.wait_for_selector("#courses-empty:not([hidden])")


def test_where_nobody_trains_the_page_says_what_to_install(trained: Voiceworks, microphone: Path) -> None:
    trained.kill("worker_train", signal.SIGSTOP)
    try:
        with opened(trained, microphone) as page:
            page.click('a.word[href="#new"]')
            page.fill("#word", "nobody home")
            page.set_input_files("#take-files", microphone)
            # Until then it might only be busy.
            able = "select count(*) from workers where node like 'train@%' and heartbeat_at > now() - interval '16 s'"
            eventually(lambda: trained.value(able) == 0, within_seconds=40)
            page.click("#train")
            eventually(lambda: "make train" in page.inner_text("#new-error"))
    finally:
        trained.kill("worker_train", signal.SIGCONT)
