"""A course for the night: begun by the clock, paused, resumed, bundled; and made whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import soundfile

from models.base import iso, utc_now
from tasks.run import ITEMS_AT_ONCE
from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.product import BULK, HOST, Voiceworks
from tests.journeys.texts import texts

Measured = Callable[..., None]
NOVA: dict[str, Any] = {"voice_id": "nova"}
QUICK: dict[str, Any] = {"voice_id": "heart", "speed": 1.2, "format": "mp3"}
DUE_SECONDS = 3.0
# The reclaimer comes every five seconds, and has to be planned for.
BEGUN_SECONDS = 15.0
# A worker has to be started; the promise is ten seconds on a machine of its own.
TAKEN_UP_SECONDS = 15.0


def schedule(product: Voiceworks, course: Sequence[str], *configs: dict[str, Any], **body: Any) -> str:
    """The id of a new deployment of a new course with these segments."""
    wanted = {"curriculum_id": product.course(course), "voice_configs": list(configs)} | body
    answer = product.api("POST", "/api/deployments", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def shown(product: Voiceworks, deployment_id: str) -> dict[str, Any]:
    """The deployment as a client sees it."""
    found: dict[str, Any] = product.api("GET", f"/api/deployments/{deployment_id}").json()
    return found


def act(product: Voiceworks, deployment_id: str, action: str) -> str:
    """The status of the deployment after an action."""
    answer = product.api("POST", f"/api/deployments/{deployment_id}/{action}")
    assert answer.ok, answer.text
    return str(answer.json()["status"])


def voices(product: Voiceworks, deployment_id: str) -> list[str]:
    """The jobs of its voices, in order."""
    query = "select id from jobs where parent_id = :job order by (params ->> 'number')::int"
    return [row.id for row in product.rows(query, job=deployment_id)]


def check_made(product: Voiceworks, deployment_id: str, course: Sequence[str], formats: Sequence[str]) -> None:
    """It is done, each voice said each segment once, in its form, and the sums are right."""
    whole = product.rows("select * from jobs where id = :job", job=deployment_id)[0]
    total = len(course) * len(formats)
    assert (whole.state, whole.items_total, whole.items_succeeded, whole.items_failed) == ("succeeded", total, total, 0)
    assert (whole.token, whole.lease_node, whole.progress, whole.error_code) == (None, None, 1.0, None)
    for job_id, format_name in zip(voices(product, deployment_id), formats, strict=True):
        truth.check_course(product, job_id, course)
        keys = truth.keys_of(product, job_id)
        made = product.rows(
            "select clip_key from speech_renditions where clip_key = any(:keys) and format = :format",
            keys=list(keys),
            format=format_name,
        )
        assert {row.clip_key for row in made} == keys
        held = product.rows(
            "select clip_key from speech_pins where job_id = :job and clip_key = any(:keys)",
            job=deployment_id,
            keys=list(keys),
        )
        assert {row.clip_key for row in held} == keys


def check_bundle(product: Voiceworks, deployment_id: str, segments: int) -> None:
    """Every file decodes and has its manifest's hash; there are captions of every topic and voice."""
    with product.api("GET", f"/api/deployments/{deployment_id}/bundle", stream=True) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
        assert answer.headers["Transfer-Encoding"] == "chunked"
        bundle = zipfile.ZipFile(io.BytesIO(answer.content))
    assert bundle.testzip() is None
    told = json.loads(bundle.read("manifest.json"))
    assert told == product.api("GET", f"/api/deployments/{deployment_id}/manifest").json()
    assert (len(told["files"]), told["missing"]) == (segments, [])
    for file in told["files"]:
        content = bundle.read(file["path"])
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size_bytes"], file["sha256"])
        samples, rate = soundfile.read(io.BytesIO(content))
        assert len(samples) / rate == pytest.approx(file["duration_seconds"], abs=0.15)
        assert abs(samples).max() > 0.05
    captions = [entry["path"] for entry in told["captions"]]
    assert len(captions) == 2 * len(told["voices"])
    assert set(bundle.namelist()) == {"manifest.json", *captions, *(file["path"] for file in told["files"])}
    for path in captions:
        assert b"-->" in bundle.read(path)
    head = product.api("HEAD", f"/api/deployments/{deployment_id}/bundle")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.slow
def test_a_deployment_is_begun_by_the_clock_paused_resumed_and_bundled(product: Voiceworks, measured: Measured) -> None:
    course = texts("a deployment that is due", 12 * len(BULK), sentences=2)
    due = utc_now() + timedelta(seconds=DUE_SECONDS)
    deployment_id = schedule(product, course, NOVA, QUICK, scheduled_time=iso(due))
    assert shown(product, deployment_id)["status"] == "scheduled"
    eventually(lambda: product.done(deployment_id) > 2, within_seconds=DUE_SECONDS + BEGUN_SECONDS)
    late = (product.value("select started_at from jobs where id = :job", job=deployment_id) - due).total_seconds()
    assert late >= 0
    measured("it was begun after its time by", late)
    assert act(product, deployment_id, "pause") == "paused"
    running = "select count(*) from job_items where state = 'running'"
    eventually(lambda: product.value(running) == 0)
    done = product.done(deployment_id)
    time.sleep(2.0)
    assert product.done(deployment_id) == done < 2 * len(course)
    assert act(product, deployment_id, "resume") == "scheduled"
    assert product.until_ended(deployment_id) == "succeeded"
    ended = shown(product, deployment_id)
    assert (ended["status"], ended["progress"]) == ("completed", 1.0)
    assert [(voice["generated"], voice["failed"]) for voice in ended["voices"]] == [(len(course), 0)] * 2
    check_made(product, deployment_id, course, ("wav", "mp3"))
    check_bundle(product, deployment_id, 2 * len(course))
    truth.check_nothing_hangs(product)


def test_a_deployment_that_is_changed_while_it_rests_says_what_the_course_says_then(product: Voiceworks) -> None:
    course = texts("a deployment that changes", 6 * len(BULK), sentences=4)
    deployment_id = schedule(product, course, NOVA)
    eventually(lambda: product.done(deployment_id) > 0)
    act(product, deployment_id, "pause")
    curriculum_id = shown(product, deployment_id)["curriculum_id"]
    changed = [*course[:-1], *texts("a deployment that has changed", 1)]
    content = [{"title": "All of it", "segments": changed}]
    assert product.api("PUT", f"/api/curriculum/{curriculum_id}", json={"content": content}).ok
    act(product, deployment_id, "resume")
    assert product.until_ended(deployment_id) == "succeeded"
    check_made(product, deployment_id, changed, ("wav",))
    truth.check_nothing_hangs(product)


@pytest.fixture
def unmanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voiceworks]:
    """The product without its fleet, which would let more and more time pass before it starts who keeps dying."""
    product = Voiceworks(tmp_path_factory.mktemp("unmanned"), programs=("web", "worker_upkeep", "worker_io", "beat"))
    try:
        product.start()
        yield product
        product.stop()
    finally:
        product.demolish()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_deployment_of_500_segments_survives_50_deaths_of_speech_workers(
    unmanned: Voiceworks, measured: Measured
) -> None:
    product, deaths = unmanned, 50
    course = texts("a night with many deaths", 500, sentences=5)
    crew = {node: product.worker(node) for node in ("first", "second")}
    deployment_id, began = schedule(product, course, NOVA), time.monotonic()
    eventually(lambda: product.done(deployment_id) > 0, within_seconds=30)
    (voice,) = voices(product, deployment_id)
    held = "select id, attempts from job_items where job_id = :job and state = 'running' and lease_node = :node"
    again = "select attempts > :before or state = 'succeeded' from job_items where id = :id"
    holder = "select lease_node from job_items where id = :id"
    taken_up: list[float] = []
    in_hand: list[int] = []
    for number in range(deaths):
        victim = list(crew)[number % len(crew)]
        node = f"{victim}@{HOST}"
        items = eventually(lambda node=node: product.rows(held, job=voice, node=node), within_seconds=30)
        os.kill(crew[victim].pid or 0, signal.SIGKILL)
        died = time.monotonic()
        # What it finished between our look and its death it does not hold.
        items = [item for item in items if product.value(holder, id=item.id) == node]
        in_hand.append(len(items))
        crew[victim] = product.worker(victim)
        for item in items:
            eventually(
                lambda item=item: product.value(again, before=item.attempts, id=item.id),
                within_seconds=TAKEN_UP_SECONDS,
            )
        taken_up.append(time.monotonic() - died)
    assert product.state(deployment_id) == "running", "the course was over before all had died"
    measured("50 deaths in", time.monotonic() - began)
    assert product.until_ended(deployment_id, within_seconds=400) == "succeeded"
    measured("made after", time.monotonic() - began)
    measured("from a death until all that was in hand is in another's, on average", sum(taken_up) / deaths)
    measured("and at most", max(taken_up))
    check_made(product, deployment_id, course, ("wav",))
    redone = product.value("select sum(attempts - 1) from job_items where job_id = :job", job=voice)
    most = product.value("select max(attempts) from job_items where job_id = :job", job=voice)
    measured(
        f"{sum(in_hand)} units in hand at the deaths, {redone} claimed again, none oftener than {most} times, of", 500
    )
    # One slice for each death at most.
    assert deaths * 0.5 < redone <= deaths * ITEMS_AT_ONCE
    # Each segment was synthesized once, as far as anybody can tell who did not die over it.
    assert sum(truth.synthesized(product)[key] for key in truth.keys_of(product, voice)) <= len(course)
    truth.check_nothing_hangs(product)
