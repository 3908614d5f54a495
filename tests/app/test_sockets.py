"""The websockets of a real web process: what they say, to whom, and that nothing is lost for good."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any

import pytest
import redis
import requests
import websocket

from models import accounts, redis_keys
from models.db import Database
from models.jobs import work
from models.jobs.announcing import summary
from models.jobs.tables import Job
from tests import making
from tests.conftest import PASSWORD, eventually
from tests.web import Web


@pytest.fixture
def account_id(telling: Database) -> str:
    """The ordinary client's account."""
    with telling.transaction() as session:
        account = accounts.find(session, "client")
        assert account is not None
        return account.id


def submitted(database: Database, **fields: object) -> Job:
    """A job for which nobody is rung."""
    return making.submit(database, doorbells=0, **fields)


def report(database: Database, job: Job, progress: float) -> None:
    """Stores how far a claimed job is; watchers are told at most four times a second."""
    with database.transaction() as session:
        work.report(session, job, progress=progress, phase=None)


# --- /ws ----------------------------------------------------------------------------------------------------------


def test_a_socket_is_greeted_and_given_figures(web: Web, clean: None, customer: dict[str, str]) -> None:
    with web.socket("/ws", header=customer) as opened:
        greeting, figures = opened.next(), opened.next()
        assert (greeting["type"], figures["type"]) == ("connected", "stats_update")
        for message in (greeting, figures):
            assert set(message) == {"type", "data", "timestamp"}
            assert datetime.fromisoformat(message["timestamp"]).utcoffset() is not None
        assert greeting["data"]["server_time"].endswith("Z")
        shown = web.get("/api/stats", headers=customer).json()
        assert set(figures["data"]) == set(shown)
        assert shown["clients_connected"] >= 1
        with web.socket("/ws", header=customer) as other:
            assert other.next()["data"]["client_id"] != greeting["data"]["client_id"]


def test_the_life_of_a_job_is_told(web: Web, telling: Database, customer: dict[str, str], account_id: str) -> None:
    with web.socket("/ws", header=customer) as opened:
        opened.until("stats_update")
        job = submitted(telling, account_id=account_id)
        assert opened.until("job.progress")["state"] == "queued"
        held = making.claim(telling, job)
        assert opened.until("job.progress")["state"] == "running"
        report(telling, held, 0.5)
        assert opened.until("job.progress")["progress"] == 0.5
        making.finish(telling, held)
        ended = opened.until("job.finished")
        assert (ended["id"], ended["state"], ended["progress"]) == (job.id, "succeeded", 1.0)
        # Whose it is and where its files lie are the house's own.
        assert not {"account_id", "result"} & set(ended)


def test_ping_is_answered_by_pong_and_nonsense_by_an_error(web: Web, clean: None, customer: dict[str, str]) -> None:
    with web.socket("/ws", header=customer) as opened:
        opened.send({"type": "ping"})
        assert opened.until("pong") == {}
        for nonsense in ({"type": "dance"}, {"type": 5}, {"type": {"a": 1}}, {}, [], "ping", 5, None):
            opened.send(nonsense)
            assert "nknown message type" in opened.until("error")["error"]
        for raw in ("", "{", "ping", "[" * 5000, '"\\ud800"'):
            opened.connection.send(raw)
            opened.until("error")
        opened.connection.send_binary(b'{"type": "ping"}')
        assert "ext" in opened.until("error")["error"]
        opened.send({"type": "ping", "filler": "x" * 70_000})
        assert "64 KiB" in opened.until("error")["error"]
        # And it is still the same, good socket.
        opened.send({"type": "ping", "filler": "x" * 60_000})
        opened.until("pong")


def test_a_message_of_megabytes_ends_its_socket_and_nothing_else(
    web: Web, clean: None, customer: dict[str, str]
) -> None:
    with web.socket("/ws", header=customer) as other, web.socket("/ws", header=customer) as opened:
        # Closed with 1009, or reset where the rest was still on its way.
        with suppress(OSError, websocket.WebSocketException):
            opened.connection.send("x" * 3_000_000)
        eventually(lambda: not opened.alive, within_seconds=5)
        other.send({"type": "ping"})
        other.until("pong")


def test_a_ping_is_answered_in_the_middle_of_much_news(
    web: Web, telling: Database, queue: redis.Redis, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    ended = threading.Event()

    def chatter() -> None:
        version = 1
        while not ended.is_set():
            version += 1
            publish(queue, job, version)
            time.sleep(0.001)

    talking = threading.Thread(target=chatter)
    with web.socket("/ws", header=customer) as opened:
        opened.until("stats_update")
        talking.start()
        try:
            opened.until("job.progress")
            opened.send({"type": "ping"})
            heard = opened.collect("pong", within_seconds=5)
        finally:
            ended.set()
            talking.join()
    assert {message["type"] for message in heard} <= {"job.progress", "stats_update", "pong"}


def publish(
    queue: Any, job: Job, version: int, *, phase: str = "", state: str = "running", job_id: str | None = None
) -> None:
    """News of a job (or one like it), straight to the web process, without any row behind it."""
    news = {**summary(job), "id": job_id or job.id, "version": version, "state": state, "phase": phase}
    queue.publish(redis_keys.JOB_EVENTS, json.dumps({"name": "job.progress", **news}))


def test_other_accounts_events_are_not_seen(
    web: Web, telling: Database, customer: dict[str, str], admin: dict[str, str], account_id: str
) -> None:
    with web.socket("/ws", header=customer) as mine, web.socket("/ws", header=admin) as theirs:
        mine.until("stats_update")
        theirs.until("stats_update")
        hidden = [submitted(telling, account_id=owner).id for owner in ("somebody else", None)]
        shown = submitted(telling, account_id=account_id).id
        # The last of three in one channel: what came before it would be here by now.
        heard = mine.collect("job.progress", lambda data: data["id"] == shown)
        assert [message["data"]["id"] for message in heard if message["type"] == "job.progress"] == [shown]
        for job in (*hidden, shown):
            theirs.until("job.progress", lambda data, job=job: data["id"] == job)


# --- /ws/jobs/{id} ------------------------------------------------------------------------------------------------


def test_a_jobs_socket_begins_with_a_snapshot_rises_and_closes_at_the_end(
    web: Web, telling: Database, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id, items=4)
    with web.socket(f"/ws/jobs/{job.id}", header=customer) as opened:
        snapshot = opened.next()
        assert (snapshot["type"], snapshot["data"]["id"]) == ("job.snapshot", job.id)
        assert snapshot["data"]["items"] == {"total": 4, "succeeded": 0, "failed": 0}
        # News of others is not told here.
        submitted(telling, account_id=account_id)
        for item in making.claim_items(telling, job, 4):
            making.finish(telling, item)
        heard = [snapshot, *opened.collect("job.finished")]
        assert opened.closed() == 1000
    assert {message["data"]["id"] for message in heard} == {job.id}
    versions = [message["data"]["version"] for message in heard]
    assert versions == sorted(set(versions))
    assert heard[-1]["data"]["items"]["succeeded"] == 4
    assert not {"account_id", "result"} & set(heard[-1]["data"])


def test_the_socket_of_an_ended_job_shows_it_and_closes(
    web: Web, telling: Database, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    making.end_well(telling, job)
    with web.socket(f"/ws/jobs/{job.id}", header=customer) as opened:
        snapshot = opened.next()
        assert (snapshot["type"], snapshot["data"]["state"]) == ("job.snapshot", "succeeded")
        assert opened.closed() == 1000


def test_stale_and_doubled_news_is_passed_over(
    web: Web, telling: Database, queue: redis.Redis, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    with web.socket(f"/ws/jobs/{job.id}", header=customer) as opened:
        opened.until("job.snapshot")
        publish(queue, job, 5)
        assert opened.until("job.progress")["version"] == 5
        for version in (3, 5, 4, 6):
            publish(queue, job, version)
        assert opened.until("job.progress")["version"] == 6


def test_a_jobs_socket_answers_its_client_too(
    web: Web, telling: Database, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    with web.socket(f"/ws/jobs/{job.id}", header=customer) as opened:
        opened.send({"type": "ping"})
        opened.until("pong")


def test_within_six_seconds_what_was_lost_is_repaired_and_figures_come_again(
    web: Web, telling: Database, database: Database, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    with telling.transaction() as session:
        nobody = accounts.create(session, username="nobody", password=PASSWORD, role="client")
        accounts.store_key(session, nobody, name="nobody", role="client", secret="a key without jobs")
    with (
        web.socket(f"/ws/jobs/{job.id}", header=customer) as opened,
        web.socket("/ws", header={"X-API-Key": "a key without jobs"}) as other,
    ):
        opened.until("job.snapshot")
        other.until("stats_update")
        # These commits tell nobody.
        making.finish(database, making.claim(database, job))
        begun = time.monotonic()
        assert opened.until("job.finished", within_seconds=6.5)["state"] == "succeeded"
        assert opened.closed() == 1000
        other.until("stats_update", within_seconds=6.5 - (time.monotonic() - begun))


# --- Many and slow ones -------------------------------------------------------------------------------------------


def test_a_hundred_sockets_of_one_process_hear_the_same_and_are_counted(
    web: Web, telling: Database, customer: dict[str, str], account_id: str
) -> None:
    def connected() -> int:
        count: int = web.get("/api/stats", headers=customer).json()["clients_connected"]
        return count

    with ExitStack() as stack:
        sockets = [stack.enter_context(web.socket("/ws", header=customer)) for _ in range(100)]
        for each in sockets:
            each.until("stats_update")
        assert connected() >= 100
        begun = time.monotonic()
        job = submitted(telling, account_id=account_id)
        for each in sockets:
            each.until("job.progress", lambda data: data["id"] == job.id)
        assert time.monotonic() - begun < 3
        # All say goodbye before the first is waited for.
        for each in sockets:
            each.connection.send_close()
    assert eventually(lambda: connected() < 10, within_seconds=10)


def test_a_socket_that_vanishes_without_goodbye_is_let_go(web: Web, clean: None, customer: dict[str, str]) -> None:
    with web.socket("/ws", header=customer) as opened:
        opened.until("stats_update")
        before = web.get("/api/stats", headers=customer).json()["clients_connected"]
        opened.connection.shutdown()
        eventually(lambda: web.get("/api/stats", headers=customer).json()["clients_connected"] < before)


def test_a_socket_that_reads_nothing_holds_up_nobody_and_finds_whole_messages_later(
    web: Web, telling: Database, queue: redis.Redis, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    last, phase = 600, "x" * 20_000
    with (
        # A small window: the server's own buffer is soon full of what this one does not take.
        web.socket("/ws", header=customer, sockopt=[(6, 10, 4096), (1, 8, 4096)]) as slow,
        web.socket("/ws", header=customer) as quick,
    ):
        slow.until("stats_update")
        quick.until("stats_update")
        for version in range(2, last + 1):
            publish(queue, job, version, phase=phase)
            if version % 50 == 0:
                quick.until("job.progress", lambda data, version=version: data["version"] == version)
        begun = time.monotonic()
        assert web.get("/health").status_code == 200
        quick.send({"type": "ping"})
        quick.until("pong")
        assert time.monotonic() - begun < 2
        # News gave way to newer news of the same state; what comes is whole, in order, and ends with the newest.
        heard = slow.collect("job.progress", lambda data: data["version"] == last, within_seconds=30)
    versions = [message["data"]["version"] for message in heard if message["type"] == "job.progress"]
    assert versions == sorted(set(versions))
    assert len(versions) < last - 1, "its reader was meant to be too slow for everything"


def test_a_socket_that_reads_slowly_is_told_every_state_of_every_job(
    web: Web, telling: Database, queue: redis.Redis, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    states = ["queued", "running", "paused", "queued", "running", "succeeded"]
    jobs, phase = 300, "x" * 2_000
    small = [(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 4096), (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    with web.socket("/ws", header=customer, sockopt=small) as slow:
        slow.until("stats_update")
        version = 1
        for state in states:
            # Progress without a change of state, which may give way.
            for _ in range(3):
                version += 1
                for number in range(jobs):
                    publish(queue, job, version, phase=phase, state=state, job_id=f"job{number}")
        publish(queue, job, 2, state="running", job_id="last")
        time.sleep(1)
        heard = slow.collect("job.progress", lambda data: data["id"] == "last", within_seconds=60)
    seen: dict[str, list[dict[str, Any]]] = {}
    for message in heard:
        if message["type"] == "job.progress":
            seen.setdefault(message["data"]["id"], []).append(message["data"])
    for number in range(jobs):
        told = seen[f"job{number}"]
        versions = [data["version"] for data in told]
        assert versions == sorted(set(versions)), number
        assert versions[-1] == version
        assert [state for state, _ in itertools.groupby(data["state"] for data in told)] == states, number
    assert len(heard) < jobs * (version - 1), "its reader was meant to be too slow for everything"


def test_a_socket_that_is_ten_thousand_states_behind_is_closed_rather_than_told_less(
    web: Web, telling: Database, queue: redis.Redis, customer: dict[str, str], account_id: str
) -> None:
    job = submitted(telling, account_id=account_id)
    small = [(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 4096), (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]
    with (
        web.socket("/ws", header=customer, sockopt=small) as slow,
        web.socket("/ws", header=customer) as quick,
    ):
        slow.until("stats_update")
        # More than the buffers on the way take before anything waits here.
        for number in range(50):
            publish(queue, job, 2, job_id=f"long{number}", phase="x" * 100_000)
        quick.until("job.progress", lambda data: data["id"] == "long49")
        for part in range(11):
            with queue.pipeline(transaction=False) as pipe:
                for number in range(1000):
                    publish(pipe, job, 2, job_id=f"job{part}-{number}")
                pipe.execute()
            quick.until("job.progress", lambda data, part=part: data["id"] == f"job{part}-999")
        code = None
        while code is None:
            opcode, said = slow.connection.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(said[:2], "big")
        assert code == 1013
        # The others are as before.
        quick.send({"type": "ping"})
        quick.until("pong")


def test_after_a_gap_in_the_listening_every_job_that_changed_is_told(
    web: Web,
    telling: Database,
    database: Database,
    queue: redis.Redis,
    customer: dict[str, str],
    admin: dict[str, str],
    account_id: str,
) -> None:
    known, unknown = submitted(telling, account_id=account_id), submitted(database, account_id=account_id)
    theirs = submitted(database, account_id="somebody else")
    with web.socket("/ws", header=customer) as mine, web.socket("/ws", header=admin) as all_of_it:
        for opened in (mine, all_of_it):
            opened.until("stats_update")
        # These commits tell nobody, as if the line had been broken already.
        for job in (known, unknown, theirs):
            making.end_well(database, job)
        assert queue.client_kill_filter(_type="pubsub") > 0
        begun = time.monotonic()
        ended = {}
        while len(ended) < 2:
            data = mine.until("job.finished", within_seconds=4)
            ended[data["id"]] = data["state"]
        assert time.monotonic() - begun < 4
        assert ended == {known.id: "succeeded", unknown.id: "succeeded"}
        all_of_it.until("job.finished", lambda data: data["id"] == theirs.id)
        # And it listens again.
        later = submitted(telling, account_id=account_id)
        heard = mine.collect("job.progress", lambda data: data["id"] == later.id)
    assert not any(message["data"].get("id") == theirs.id for message in heard)


def test_of_an_unfinished_job_that_was_told_of_a_lost_end_is_told_within_six_seconds(
    web: Web, telling: Database, database: Database, customer: dict[str, str], account_id: str
) -> None:
    with web.socket("/ws", header=customer) as opened:
        opened.until("stats_update")
        job = submitted(telling, account_id=account_id)
        opened.until("job.progress", lambda data: data["id"] == job.id)
        making.end_well(database, job)
        opened.until("job.finished", lambda data: data["id"] == job.id, within_seconds=6.5)


def test_figures_do_not_stop_for_a_socket_that_was_refused(web: Web, clean: None, customer: dict[str, str]) -> None:
    def count() -> int:
        found: int = requests.get(web.url("/api/stats"), headers=customer, timeout=10).json()["clients_connected"]
        return found

    before = count()
    for _ in range(5):
        web.close_code("/ws", header={"X-API-Key": "wrong"})
    assert count() <= before
