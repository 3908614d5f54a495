"""Two hosts speak one course; the line between them is cut and mended, and nothing is lost or made twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import eventually
from tests.journeys import truth
from tests.journeys.hosts import TwoHosts, two_hosts
from tests.journeys.texts import texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Measured = Callable[..., None]

# Longer than a background lease (models/jobs), which the cut-off host cannot renew.
LAPSED_SECONDS = 120.0


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """All of it on one host, and a fleet on another."""
    with two_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


def begun(hosts: TwoHosts, topic: str, count: int, sentences: int = 8) -> tuple[str, list[str]]:
    """A course in mid-work on both hosts: its job and its texts."""
    course = texts(topic, count, sentences=sentences)
    job_id = hosts.prefetch(course)
    eventually(lambda: len(hosts.made_by(job_id)) == 2, within_seconds=60)
    return job_id, course


def check_finished(hosts: TwoHosts, job_id: str, course: list[str]) -> None:
    """The course is complete, each text was made once, and each item was finished by one worker."""
    assert hosts.until_ended(job_id, within_seconds=240) == "succeeded"
    eventually(lambda: not truth.held(hosts), within_seconds=LAPSED_SECONDS)
    truth.check_course(hosts, job_id, course)
    assert hosts.made_by(job_id).total() == len(course)


def test_a_course_is_spoken_by_both_hosts_into_one_folder(hosts: TwoHosts, measured: Measured) -> None:
    registered = {row.host for row in hosts.rows("select host from workers where engines ? 'hibari'")}
    assert registered == {hosts.main.name, hosts.other.name}
    began = time.monotonic()
    job_id, course = begun(hosts, "two hosts", 40)
    check_finished(hosts, job_id, course)
    measured(f"40 segments by {dict(hosts.made_by(job_id))}", time.monotonic() - began)
    # What the other host made is heard from this one.
    assert hosts.speak(course[-1]).headers["X-TTS-Cache-Status"] == "hit"


def test_a_short_break_of_the_line_costs_nothing_but_time(hosts: TwoHosts, measured: Measured) -> None:
    job_id, course = begun(hosts, "a short break", 160)
    hosts.cut()
    done = hosts.done(job_id)
    eventually(lambda: hosts.done(job_id) > done + 5, within_seconds=30)
    time.sleep(5)
    hosts.mend()
    began = time.monotonic()
    assert hosts.state(job_id) == "running", "the course was over before the line was mended"
    check_finished(hosts, job_id, course)
    eventually(lambda: hosts.speakers(hosts.other) > 1, within_seconds=60)
    measured(f"made by {dict(hosts.made_by(job_id))}, finished after", time.monotonic() - began)


def test_what_a_host_held_that_is_gone_is_made_by_the_other(hosts: TwoHosts, measured: Measured) -> None:
    eventually(lambda: hosts.speakers(hosts.other) > 1, within_seconds=60)
    job_id, course = begun(hosts, "a long break", 60, sentences=16)
    held = "select count(*) from job_items where job_id = :job and state = 'running' and lease_node like :node"
    eventually(lambda: hosts.value(held, job=job_id, node=f"%@{hosts.other.name}"), within_seconds=30)
    hosts.cut()
    before, began = hosts.made_by(job_id)[hosts.other.name], time.monotonic()
    # The main host does the rest, and what the other held once its leases have lapsed.
    assert hosts.until_ended(job_id, within_seconds=LAPSED_SECONDS + 60) == "succeeded"
    measured("finished without the other host after", time.monotonic() - began)
    assert hosts.made_by(job_id)[hosts.other.name] <= before + 1
    assert hosts.speakers(hosts.other) == 0
    hosts.mend()
    began = time.monotonic()
    eventually(lambda: hosts.speakers(hosts.other) > 1, within_seconds=90)
    measured("the other host is back after", time.monotonic() - began)
    check_finished(hosts, job_id, course)
    # What it was at when the line was cut is thrown away, and it goes on with what is new.
    job_id, course = begun(hosts, "after a long break", 40)
    check_finished(hosts, job_id, course)
