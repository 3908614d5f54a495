"""The page at /transcribe, as a transcriber sees it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from config.settings import Settings
from models import accounts
from models.db import Database
from models.files import FileStore
from models.transcription.tables import Annotation, Assignment
from tests import transcribing
from tests.app.test_docs import CHROMIUM, QUIET
from tests.conftest import CLIENT_KEY, eventually
from tests.web import Web

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")

AGENT = 7
KEY = "vw_a_transcribers_key_for_tests_0123456789"
OPERATOR_KEY = "vw_an_operators_key_of_this_page_0123456789"
PHONE = (360, 740)
# With a key (or None: one signs in later), of a ``size``; with ``timed`` its clock is the test's.
Opened = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def store(configured: Settings) -> FileStore:
    """Where the web process looks for sound."""
    return FileStore(configured.var_dir / "files")


@pytest.fixture
def keys(clean: None, database: Database) -> None:
    """A transcriber's key, and an operator's."""
    with database.transaction() as session:
        admin = accounts.find(session, "admin")
        assert admin is not None
        theirs = accounts.store_key(session, admin, name="theirs", role="agent", secret=KEY)
        theirs.agent_id = AGENT
        accounts.store_key(session, admin, name="runs it", role="operator", secret=OPERATOR_KEY)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for all of them; each test has a profile of its own in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, "--mute-audio"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, web: Web) -> Opened:
    """Opens the page, signed in with a key; whatever goes wrong in it fails the test."""

    @contextmanager
    def page_of(key: str | None = KEY, *, size: tuple[int, int] = (1280, 900), timed: bool = False) -> Iterator[Any]:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(10_000)
        if timed:
            # Before the page begins to count.
            page.clock.install()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(web.url("/transcribe"))
        if key is not None:
            page.keyboard.type(key)
            page.keyboard.press("Enter")
        yield page
        page.close()
        assert faults == []

    return page_of


def has(page: Any, task_id: int) -> None:
    """Waits until the page shows that task."""
    page.wait_for_selector(f"#task-number:text-is('{task_id}')")


def sound(page: Any, expression: str) -> Any:
    """What JavaScript gives for ``audio``."""
    return page.evaluate(f"() => {{ const audio = document.getElementById('player'); return {expression}; }}")


def texts(database: Database) -> list[tuple[int, int, str]]:
    """The task, the agent and the text of every annotation."""
    with database.reading() as session:
        rows = session.execute(select(Annotation.task_id, Annotation.agent_id, Annotation.text).order_by(Annotation.id))
        return [tuple(row) for row in rows]


def skips(database: Database) -> list[str | None]:
    """Why tasks were skipped."""
    with database.reading() as session:
        return list(session.scalars(select(Assignment.reason).where(Assignment.state == "skipped")))


def take_back(database: Database) -> None:
    """The task's time has run out."""
    transcribing.age(database, AGENT, hours=2)
    with database.transaction() as session:
        session.execute(update(Assignment).where(Assignment.agent_id == AGENT).values(state="expired"))
        session.execute(update(transcribing.tasks.Task).values(taken=0))


def test_a_task_is_heard_written_and_handed_in_without_a_mouse(
    opened: Opened, keys: None, database: Database, store: FileStore, picture: Callable[[Any, str], None]
) -> None:
    first, second = transcribing.add(database, store, count=2, seconds=3.5, language="de", draft="guten tag")
    with opened() as page:
        has(page, first)
        eventually(lambda: sound(page, "audio.readyState >= 1"))
        assert sound(page, "audio.duration") == pytest.approx(3.5, abs=0.01)
        assert (page.inner_text("#task-title"), page.inner_text("#task-about")) == ("take_0.wav", "3.5 s · German")
        assert (page.input_value("#text"), page.is_visible("#draft-note")) == ("guten tag", True)
        assert page.get_attribute("#text", "lang") == "de"
        assert page.evaluate("document.activeElement.id") == "text"
        picture(page, "task")

        # Everything while one writes.
        page.keyboard.press("Escape")
        eventually(lambda: sound(page, "!audio.paused && audio.currentTime > 1.2"))
        page.keyboard.press("Escape")
        stopped = sound(page, "audio.paused && audio.currentTime")
        assert stopped > 1.2
        # The last second is heard again, but not by who chose where to go on.
        sound(page, "audio.onplay = () => { window.began = audio.currentTime; }")
        page.keyboard.press("Escape")
        eventually(lambda: page.evaluate("window.began"))
        assert page.evaluate("window.began") == pytest.approx(stopped - 1, abs=0.1)
        page.keyboard.press("Escape")
        sound(page, "audio.currentTime = 1")
        page.keyboard.press("F2")
        assert sound(page, "audio.currentTime") == 0
        page.keyboard.press("F4")
        assert sound(page, "audio.currentTime") == 2
        page.keyboard.press("Escape")
        eventually(lambda: page.evaluate("window.began") == pytest.approx(2, abs=0.1))
        page.keyboard.press("Escape")
        page.keyboard.press("Shift+F2")
        page.keyboard.press("Shift+F2")
        assert (sound(page, "audio.playbackRate"), page.inner_text("#speed")) == (0.8, "0.8×")
        assert sound(page, "audio.preservesPitch")
        assert page.input_value("#text") == "guten tag"

        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("Guten Tag, meine Damen.")
        page.keyboard.press("Control+Enter")
        has(page, second)
        assert texts(database) == [(first, AGENT, "Guten Tag, meine Damen.")]
        # At 0.05 a second, half of a hundredth counting as one.
        eventually(lambda: page.inner_text("#last") == "The last task earned 0.18.")
        assert (page.inner_text("#earned"), page.inner_text("#completed")) == ("0.18", "1")
        assert sound(page, "audio.playbackRate") == 0.8
        picture(page, "next")


def test_one_hears_any_place_of_a_long_sound_at_once(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    (task,) = transcribing.add(database, store, seconds=900.0)
    asked: list[str] = []
    with opened(None) as page:
        page.on("request", lambda sent: asked.append(sent.headers.get("range", "")) if "/stream/" in sent.url else None)
        page.fill("#api-key", KEY)
        page.keyboard.press("Enter")
        has(page, task)
        eventually(lambda: sound(page, "audio.readyState >= 1"))
        after_seek = (
            "new Promise((done) => { audio.onseeked = () => done(audio.currentTime); audio.currentTime = %s; })"
        )
        assert sound(page, after_seek % "1.5") == pytest.approx(1.5, abs=0.01)
        box = page.locator("#wave").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 20)
        page.mouse.up()
        assert sound(page, "audio.currentTime") == pytest.approx(720, abs=3)
        eventually(lambda: sound(page, "!audio.seeking && audio.readyState >= 2"))
        # In the middle of the file, without all that is before it.
        begun = [int(found[1]) for each in asked if (found := re.match(r"bytes=(\d+)-", each))]
        assert max(begun) > 5_000_000

        page.focus("#wave")
        assert (
            page.get_attribute("#wave", "aria-valuetext") == f"{sound(page, 'audio.currentTime'):.1f} of 900.0 seconds"
        )
        page.keyboard.press("Home")
        assert sound(page, "audio.currentTime") == 0
        page.keyboard.press("PageUp")
        assert sound(page, "audio.currentTime") == 5
        assert page.get_attribute("#wave", "aria-valuenow") == "5.0"
        page.keyboard.press("Space")
        eventually(lambda: not sound(page, "audio.paused"))


def test_the_outline_is_drawn(opened: Opened, keys: None, database: Database, store: FileStore) -> None:
    (task,) = transcribing.add(database, store)
    column = """(share) => {
        const canvas = document.querySelector("#wave canvas");
        const x = Math.floor(canvas.width * share);
        const rows = canvas.getContext("2d").getImageData(x, 0, 6, canvas.height).data;
        let painted = 0;
        for (let row = 0; row < canvas.height; row++) painted += rows[row * 24 + 3] > 0 || rows[row * 24 + 15] > 0;
        return painted / canvas.height;
    }"""
    with opened() as page:
        has(page, task)
        # Its three parts are 0, 50 and 100 loud.
        eventually(lambda: page.evaluate(column, 0.9) > 0.5)
        quiet, middle, loud = (page.evaluate(column, share) for share in (0.15, 0.5, 0.9))
        assert quiet < 0.1 < 0.25 < middle < 0.6 < loud


def test_a_reload_loses_nothing(opened: Opened, keys: None, database: Database, store: FileStore) -> None:
    (task,) = transcribing.add(database, store, draft="a draft")
    with opened() as page:
        has(page, task)
        page.fill("#text", "")
        page.keyboard.type("half of a sen")
        page.reload()
        has(page, task)
        assert page.input_value("#text") == "half of a sen"
        page.keyboard.type("tence")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#waiting")
        assert texts(database) == [(task, AGENT, "half of a sentence")]
        assert "transcribe.text" not in str(page.evaluate("Object.keys(sessionStorage)"))
        assert page.evaluate("localStorage.length") == 0


def test_a_task_is_skipped_with_a_reason(
    opened: Opened, keys: None, database: Database, store: FileStore, picture: Callable[[Any, str], None]
) -> None:
    first, second = transcribing.add(database, store, count=2)
    with opened() as page:
        has(page, first)
        page.keyboard.press("F8")
        page.keyboard.press("Space")
        picture(page, "skipping")
        page.keyboard.press("Enter")
        has(page, second)
        assert skips(database) == ["No speech"]
        page.keyboard.press("F8")
        page.check("[name=reason][value=Other]")
        page.click("#skip-go")
        assert page.is_visible("#skip-error")
        page.fill("#skip-more", "two people at once")
        page.keyboard.press("Enter")
        page.wait_for_selector("#waiting")
        assert sorted(map(str, skips(database))) == ["No speech", "two people at once"]
        assert page.inner_text("#waiting-title") == "No tasks available"
        assert texts(database) == []


def test_who_waits_is_given_the_task_that_comes(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    with opened(None, timed=True) as page:
        page.fill("#api-key", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#waiting")
        (task,) = transcribing.add(database, store)
        page.clock.fast_forward(19_000)
        assert page.is_visible("#waiting")
        page.clock.fast_forward(2_000)
        has(page, task)
        assert page.evaluate("document.activeElement.id") == "text"


def test_a_text_that_did_not_get_through_is_sent_again_and_counts_once(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    (task,) = transcribing.add(database, store)
    with opened() as page:
        has(page, task)

        def lose_the_answer(route: Any) -> None:
            route.fetch()
            route.abort()

        page.route("**/submit", lose_the_answer, times=1)
        page.keyboard.type("said once")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#outcome:has-text('cannot be reached')")
        assert page.input_value("#text") == "said once"
        page.click("#submit")
        page.wait_for_selector("#waiting")
        assert texts(database) == [(task, AGENT, "said once")]


def test_who_is_at_work_keeps_the_task_and_who_is_away_does_not(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    (task,) = transcribing.add(database, store)
    with opened(None, timed=True) as page:
        page.evaluate("""() => {
            window.beats = 0;
            const real = window.fetch;
            window.fetch = (path, options) => {
                window.beats += String(path).endsWith("/heartbeat");
                return real(path, options);
            };
        }""")
        page.fill("#api-key", KEY)
        page.keyboard.press("Enter")
        has(page, task)
        for minute in range(1, 9):
            with page.expect_response("**/heartbeat") as heard:
                page.clock.run_for(61_000)
            assert heard.value.ok
            assert page.evaluate("beats") == minute
        # Ten minutes after anything was done it ends, and what was had then counts for a quarter of an hour.
        page.clock.run_for(300_000)
        at_the_end = page.evaluate("beats")
        assert at_the_end in (9, 10)
        page.clock.run_for(300_000)
        assert page.evaluate("beats") == at_the_end
        assert page.is_hidden("#time-left")

        def warned() -> bool:
            page.clock.run_for(10_000)
            return bool(page.is_visible("#time-left"))

        eventually(warned)
        assert re.fullmatch(r"2:[45]\d left to hand this in\.", page.inner_text("#time-left"))
        assert page.evaluate("beats") == at_the_end
        page.keyboard.type("b")
        assert page.evaluate("beats") == at_the_end + 1
        page.clock.run_for(2_000)
        eventually(lambda: page.clock.run_for(1_000) or page.is_hidden("#time-left"))


def test_a_lease_that_was_lost_is_said_and_its_text_is_taken_all_the_same(
    opened: Opened, keys: None, database: Database, store: FileStore, picture: Callable[[Any, str], None]
) -> None:
    (task,) = transcribing.add(database, store)
    with opened(None, timed=True) as page:
        page.fill("#api-key", KEY)
        page.keyboard.press("Enter")
        has(page, task)
        page.keyboard.type("late, but here")
        take_back(database)
        page.clock.run_for(61_000)
        page.wait_for_selector("#lost:has-text('Task not assigned to this agent')")
        picture(page, "lost")
        # Nor is it lost by reading the page anew, which takes no other task meanwhile.
        transcribing.add(database, store)
        page.reload()
        page.wait_for_selector("#lost")
        assert page.input_value("#text") == "late, but here"
        page.keyboard.press("Control+Enter")
        has(page, task + 1)
        assert texts(database) == [(task, AGENT, "late, but here")]


def test_a_text_that_came_too_late_is_kept_and_the_page_says_where(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    (task,) = transcribing.add(database, store)
    with opened() as page:
        has(page, task)
        take_back(database)
        assert transcribing.task_of(database, AGENT + 1) == task
        page.keyboard.type("too late")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#outcome:has-text('GET /api/transcription/kept/')")
        assert page.input_value("#text") == "too late"
        page.click("#go-on")
        page.wait_for_selector("#waiting")


def test_a_system_key_says_for_whom_and_signing_out_forgets_all(
    opened: Opened, keys: None, database: Database, store: FileStore
) -> None:
    (task,) = transcribing.add(database, store)
    with opened(OPERATOR_KEY) as page:
        page.wait_for_selector("#agent-form")
        page.keyboard.type("31")
        page.keyboard.press("Enter")
        has(page, task)
        assert page.inner_text("#who") == "You work as agent 31."
        page.keyboard.type("unsent")
        page.once("dialog", lambda asked: asked.dismiss())
        page.click("#sign-out")
        assert page.input_value("#text") == "unsent"
        page.once("dialog", lambda asked: asked.accept())
        page.click("#sign-out")
        page.wait_for_selector("#login")
        left = page.evaluate("Object.values(sessionStorage).join()")
        assert not any(each in left for each in (OPERATOR_KEY, "unsent", "31"))


@pytest.mark.parametrize(("key", "said"), [("wrong", "Invalid API key"), (CLIENT_KEY, "Role client may not do this")])
def test_another_key_is_refused_in_the_servers_words(opened: Opened, keys: None, key: str, said: str) -> None:
    with opened(key) as page:
        page.wait_for_selector(f"#login-error:has-text('{said}')")
        assert page.is_hidden("#app")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(
    opened: Opened, keys: None, database: Database, store: FileStore, scheme: str, picture: Callable[[Any, str], None]
) -> None:
    transcribing.add(database, store, draft="a draft of what may have been said", language="de")
    with opened(None, size=PHONE) as page:
        page.emulate_media(color_scheme=scheme)

        def fits(name: str) -> None:
            picture(page, name)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], name

        fits("sign-in")
        page.fill("#api-key", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector("#task")
        eventually(lambda: page.inner_text("#earned") == "0.00")
        fits("task")
        # The text and what hands it in are seen at once.
        box = page.locator("#submit").bounding_box()
        assert box["y"] + box["height"] <= PHONE[1]
        page.click("#skip")
        fits("skipping")


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Any, str], None]:
    """Takes a picture of a page, for who looks at why a test failed."""
    return lambda page, name: page.screenshot(path=tmp_path / f"{name}.png")
