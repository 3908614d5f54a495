"""Any part of the product may be killed at any time: the course it was making is finished, each text made once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from app.api.prefetch import prefetch
from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import BULK, HOST, LIVE, Voiceworks
from tests.journeys.texts import text, texts

Measured = Callable[..., None]

# The promise is ten seconds; a worker has to be started, and cores are shared.
TAKEN_UP_SECONDS = 15.0
# A part that was killed is back; Postgres has to recover, the fleet to drain and start again.
BACK_SECONDS = 30.0
# Four sentences: some 0.3 s of work, so that a kill nearly always finds something in hand.
LONG = 4


def begun(product: Voiceworks, topic: str, segments_each: int = 6) -> tuple[str, list[str]]:
    """A course in mid-work, with so many segments for each bulk worker: its job and its texts."""
    course = texts(topic, segments_each * len(BULK), sentences=LONG)
    job_id = product.prefetch(course)
    eventually(lambda: product.done(job_id) > 1, within_seconds=30)
    assert product.done(job_id) < len(course) - 3, "the course was over before anything could be killed"
    return job_id, course


def check_finished(product: Voiceworks, job_id: str, course: list[str]) -> None:
    """The course is complete, nothing hangs, and the next course is made as if nothing had happened."""
    assert product.until_ended(job_id) == "succeeded"
    truth.check_course(product, job_id, course)
    truth.check_nothing_hangs(product)


def check_reclaimer_rings(product: Voiceworks, topic: str) -> None:
    """A course that no doorbell was rung for is made all the same."""
    course = texts(topic, 3)
    with product.silent.transaction() as session:
        job_id = prefetch(session, account_id=None, curriculum_id=product.course(course)).id
    # What else is in work need not be over.
    assert product.until_ended(job_id) == "succeeded"
    truth.check_course(product, job_id, course)


def check_api_answers(product: Voiceworks, topic: str) -> None:
    """A client is served again, by the API and by a worker."""
    answer = eventually(lambda: _answer(product, text(topic)), within_seconds=BACK_SECONDS)
    assert answer is not None
    assert answer.headers["X-TTS-Cache-Status"] in ("miss", "joined", "hit")


def _answer(product: Voiceworks, words: str) -> requests.Response | None:
    try:
        answer = product.speak(words)
    except requests.ConnectionError:
        return None
    assert answer.status_code in (200, 503), answer.text
    return answer if answer.ok else None


@pytest.mark.parametrize(
    "victim",
    [
        *("web process", "web", "worker_upkeep", "queue", "postgres"),
        # Much like the upkeep worker, and like the supervisor below.
        *(pytest.param(victim, marks=pytest.mark.slow) for victim in ("beat", "fleet")),
    ],
)
def test_a_course_survives_the_death_of(victim: str, product: Voiceworks, measured: Measured) -> None:
    name = victim.replace("_", " ")
    job_id, course = begun(product, f"the death of the {name}")
    former, began = product.kill(victim), time.monotonic()
    product.until_replaced(victim, former, within_seconds=BACK_SECONDS)
    if victim in ("worker_upkeep", "beat"):
        check_reclaimer_rings(product, f"messages lost after the {name}")
        measured("a lost message was rung again and its course made after", time.monotonic() - began)
    else:
        check_api_answers(product, f"life after the {name}")
        measured("a text was spoken after", time.monotonic() - began)
    check_finished(product, job_id, course)
    measured("the course was finished after", time.monotonic() - began)


def test_what_a_killed_bulk_worker_held_is_taken_up_within_seconds(product: Voiceworks, measured: Measured) -> None:
    victim = BULK[0]
    # So many that one is met in its first moments, however busy the machine is.
    job_id, course = begun(product, "the death of a bulk worker", segments_each=20)
    fresh = """
        select id from job_items where job_id = :job and state = 'running' and lease_node = :node
        and now() - started_at < interval '100 ms'
    """
    item_id = eventually(lambda: product.value(fresh, job=job_id, node=f"{victim}@{HOST}"))
    former, began = product.kill(victim), time.monotonic()
    taken = "select attempts from job_items where id = :item"
    assert product.value(taken, item=item_id) == 1, "it was taken up before its worker was dead"
    eventually(lambda: product.value(taken, item=item_id) == 2, within_seconds=TAKEN_UP_SECONDS)
    measured("its segment is taken up after", time.monotonic() - began)
    check_finished(product, job_id, course)
    product.until_replaced(victim, former)
    assert product.value("select max(attempts) from job_items where job_id = :job", job=job_id) == 2


def test_somebody_whose_live_worker_is_killed_gets_the_answer_from_another(
    product: Voiceworks, measured: Measured
) -> None:
    # All bulk workers are busy for a while with what is longer than what is asked for now.
    course = texts("a course while a live worker dies", 2 * len(BULK), sentences=16)
    job_id = product.prefetch(course)
    busy = "select count(distinct lease_node) from job_items where job_id = :job and state = 'running'"
    eventually(lambda: product.value(busy, job=job_id) == len(BULK))
    words = text("a request whose worker dies", sentences=12)
    held = "select lease_node from jobs where live and state = 'running' and params -> 'clip' ->> 'text' = :words"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(product.speak, words)
        assert eventually(lambda: product.value(held, words=words)) == f"{LIVE}@{HOST}"
        former, began = product.kill(LIVE), time.monotonic()
        answer = call.result(60)
    waited = time.monotonic() - began
    measured("the answer came after", waited)
    assert (answer.status_code, answer.headers["X-TTS-Cache-Status"]) == (200, "miss")
    assert waited < TAKEN_UP_SECONDS + 5
    attempts = "select attempts from jobs where live and params -> 'clip' ->> 'text' = :words"
    assert product.value(attempts, words=words) == 2
    product.until_replaced(LIVE, former)
    check_finished(product, job_id, course)


@pytest.mark.slow
def test_after_the_whole_supervisor_was_killed_a_new_start_finishes_the_course(
    product: Voiceworks, measured: Measured
) -> None:
    job_id, course = begun(product, "the death of the supervisor", segments_each=5)
    product.kill("supervisor")
    eventually(lambda: product.pid("supervisor") is None)
    began = time.monotonic()
    measured("it can speak again after", product.start())
    check_finished(product, job_id, course)
    measured("and the course is finished after", time.monotonic() - began)
    check_api_answers(product, "life after the supervisor")
    eventually(product.settled, within_seconds=BACK_SECONDS)


PARTS = ("web process", "web", "worker_upkeep", "beat", "queue", "postgres", "fleet", LIVE, *BULK, *BULK, "supervisor")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_course_survives_ten_random_deaths(seed: int, product: Voiceworks, measured: Measured) -> None:
    chance = random.Random(seed)
    course = texts(f"random deaths, series {seed}", 45 * len(BULK), sentences=8)
    job_id, began = product.prefetch(course), time.monotonic()
    killed: list[str] = []
    while len(killed) < 10 and product.state(job_id) not in ("succeeded", "failed"):
        victim, ends = chance.choice(PARTS), time.monotonic() + chance.uniform(0.5, 3.0)
        while time.monotonic() < ends:
            time.sleep(0.02)
        product.kill(victim)
        killed.append(victim)
        if victim == "supervisor":
            eventually(lambda: product.pid("supervisor") is None)
            product.start()
    assert len(killed) > 6, f"the course was over after {killed}"
    product.until_ended(job_id, within_seconds=200)
    failed = product.rows("select * from job_items where job_id = :job and state = 'failed'", job=job_id)
    # Who lost three workers in a row is set aside, said to be, and made when asked again.
    assert {(item.error_code, item.attempts) for item in failed} <= {("worker_lost", 3)}
    if failed:
        assert product.api("POST", f"/api/jobs/{job_id}/retry").status_code == 200
    check_finished(product, job_id, course)
    measured(f"{len(killed)} deaths ({', '.join(killed)}), {len(failed)} set aside", time.monotonic() - began)
    eventually(product.settled, within_seconds=60)
