"""One text for somebody who waits: found, made, shared, given up, fetched later."""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Callable

import requests
import soundfile

from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import BULK, SPEAKERS, Voiceworks
from tests.journeys.texts import text, texts
from tests.making import at_once

CROWD = 64


def key_of(answer: requests.Response) -> str:
    """The clip that an answer was taken from."""
    return answer.headers["Content-Location"].rpartition("/")[2].partition(".")[0]


def check_crowd(product: Voiceworks, answers: list[requests.Response]) -> str:
    """Everybody got the same bytes, of one clip that was synthesized once; gives its key."""
    assert Counter(answer.status_code for answer in answers) == {200: len(answers)}
    assert len({answer.content for answer in answers}) == 1
    (key,) = {key_of(answer) for answer in answers}
    truth.check_clips(product, {key})
    assert truth.synthesized(product)[key] == 1
    return key


def test_a_text_is_made_once_and_found_from_then_on(product: Voiceworks) -> None:
    words = text("a text asked for twice")
    miss, hit = product.speak(words), product.speak(words)
    assert [answer.headers["X-TTS-Cache-Status"] for answer in (miss, hit)] == ["miss", "hit"]
    assert miss.headers["ETag"] == hit.headers["ETag"]
    key = check_crowd(product, [miss, hit])
    samples, rate = soundfile.read(io.BytesIO(hit.content))
    assert abs(len(samples) / rate - float(hit.headers["X-TTS-Duration-Seconds"])) < 0.001
    assert product.value("select count(*) from jobs where params -> 'clip' ->> 'text' = :words", words=words) == 1
    flac = product.api("POST", "/api/tts", json={"text": words, "format": "flac"})
    assert (flac.status_code, key_of(flac)) == (200, key)
    truth.check_clips(product, {key})


def test_a_crowd_that_asks_for_one_text_at_once_has_it_made_once(product: Voiceworks) -> None:
    words = text("a text that everybody wants", sentences=10)
    answers = at_once(CROWD, lambda number: product.speak(words))
    check_crowd(product, answers)
    outcomes = Counter(answer.headers["X-TTS-Cache-Status"] for answer in answers)
    assert outcomes["miss"] == 1
    assert outcomes["joined"] > CROWD // 2


def test_crowds_of_two_accounts_share_the_clip_but_not_the_job(product: Voiceworks) -> None:
    words = text("a text that two houses want", sentences=10)
    keys = [product.add_client("first_house"), product.add_client("second_house")]
    answers = at_once(CROWD, lambda number: product.speak(words, key=keys[number % 2]))
    check_crowd(product, answers)
    jobs = product.rows("select distinct account_id from jobs where params -> 'clip' ->> 'text' = :words", words=words)
    assert len(jobs) == 2


def test_a_crowd_joins_the_bulk_worker_that_is_making_its_text(product: Voiceworks) -> None:
    words = text("a text that is being made for later", sentences=25)
    job_id = product.prefetch([words])
    making = "select lease_node from speech_clips where state = 'making' and spec ->> 'text' = :words"
    eventually(lambda: product.value(making, words=words))
    answers = at_once(CROWD, lambda number: product.speak(words))
    key = check_crowd(product, answers)
    assert product.until_ended(job_id) == "succeeded"
    truth.check_course(product, job_id, [words])
    results = product.rows("select result from job_items where job_id = :job", job=job_id)
    assert [(row.result["clip"], row.result["cached"]) for row in results] == [(key, False)]
    assert "miss" not in {answer.headers["X-TTS-Cache-Status"] for answer in answers}


def test_a_text_that_still_waits_in_bulk_is_overtaken_by_somebody_who_wants_it_now(product: Voiceworks) -> None:
    course = texts("a course with an impatient listener", 6 * len(BULK), sentences=4)
    job_id = product.prefetch(course)
    eventually(lambda: product.done(job_id))
    answer = product.speak(course[-1])
    overtaken = product.done(job_id)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    assert overtaken < len(course) - 1
    assert product.until_ended(job_id) == "succeeded"
    truth.check_course(product, job_id, course)
    last = "select result from job_items where job_id = :job order by position desc limit 1"
    assert product.value(last, job=job_id)["cached"] is True


def test_listeners_who_hang_up_free_the_workers(product: Voiceworks, measured: Callable[..., None]) -> None:
    # One for each worker that takes live work, each long enough to keep it busy for several seconds.
    long = [text(f"a long story for listener {number}", sentences=150) for number in range(len(SPEAKERS))]
    connections = [product.ask(words) for words in long]
    running = "select count(*) from jobs where state = 'running' and params -> 'clip' ->> 'text' = any(:long)"
    eventually(lambda: product.value(running, long=long) == len(long), within_seconds=30)
    for connection in connections:
        connection.close()
    began = time.monotonic()
    answer = product.speak(text("the next in the queue"))
    measured("next answer after the hang-ups", time.monotonic() - began)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    left = "select state, error_code from jobs where params -> 'clip' ->> 'text' = any(:long)"
    eventually(lambda: {tuple(row) for row in product.rows(left, long=long)} == {("cancelled", "abandoned")})
    eventually(lambda: not truth.held(product), within_seconds=5)
    made = "select 1 from speech_clips where state = 'ready' and spec ->> 'text' = any(:long)"
    assert product.rows(made, long=long) == []


def test_a_request_that_does_not_wait_is_answered_later(product: Voiceworks) -> None:
    words = text("a letter that is called for", sentences=10)
    accepted = product.speak(words, headers={"Prefer": "respond-async"})
    assert (accepted.status_code, accepted.headers["Preference-Applied"]) == (202, "respond-async")
    status_url, job_id = accepted.headers["Location"], accepted.json()["job_id"]
    early = product.api("GET", f"/api/jobs/{job_id}/result")
    assert early.status_code in (409, 200)
    eventually(lambda: product.api("GET", status_url).json()["state"] == "succeeded")
    result, spoken = product.api("GET", f"/api/jobs/{job_id}/result"), product.speak(words)
    assert spoken.headers["X-TTS-Cache-Status"] == "hit"
    check_crowd(product, [result, spoken])
    truth.check_nothing_hangs(product)
