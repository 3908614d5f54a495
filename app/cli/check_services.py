"""What ``doctor`` looks at in the running services: database, queue, workers, web, MCP, Flower, and who may come in."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.cli import reach
from app.cli.output import Finding, counted
from config import voices
from config.settings import Settings
from config.supervisor import answers_health
from models import migrations, workers
from models.base import utc_now

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# The register counts a worker as gone after 15 s of silence by the database's clock; tokens are good to the second.
_CLOCK_WARN_SECONDS, _CLOCK_FAIL_SECONDS = 1.0, 10.0
# It takes two at most to find what does not answer.
_READY_SECONDS = 4.0
# The workers of a start that has just been made are not long in coming.
_STARTING_SECONDS = 5.0
# Bulk workers load their engines one after the other, with what processor time the others leave.
_STARTS_LATE = timedelta(seconds=90)


def services(configured: Settings) -> Iterator[Finding]:
    """Everything that runs; one friendly line where nothing does."""
    database, queue = reach.database_answers(configured), reach.queue_answers(configured)
    web = {port: answers_health(configured.host, port) for port in configured.ports}
    if not (database or queue or any(web.values())):
        yield Finding("fail", "services", "Voiceworks is not running here", "`make run` starts it")
        return
    yield from _database(configured) if database else [_away("database", configured.database_url, "DATABASE_URL")]
    yield from _queue(configured) if queue else [_away("queue", configured.redis_url, "REDIS_URL")]
    yield _streams(configured)
    logs = configured.var_dir / "log"
    for port, answers in web.items():
        about = f"web, port {port}"
        if not answers:
            yield Finding("fail", about, "does not answer /health/live", f"{logs / 'web.log'} says why")
        elif answers_health(configured.host, port, "ready", within_seconds=_READY_SECONDS):
            yield Finding("ok", about, "answers, and is ready for work")
        else:
            yield Finding(
                "warn", about, "answers, but is not ready for work", "`GET /health/ready` says what is missing"
            )
    yield _mcp(configured)
    yield _flower(configured)


def openness(configured: Settings) -> Iterator[Finding]:
    """Whether anybody may come in without a credential."""
    surfaces = ", ".join(sorted(configured.open_surfaces))
    if not surfaces:
        yield Finding("ok", "open surfaces", "none: everything takes a credential")
        return
    where = "this machine" if configured.host in _LOOPBACK else f"whoever reaches {configured.host}"
    mend = "unset OPEN_SURFACES unless you trust them all"
    yield Finding("warn", "open surfaces", f"{surfaces}: no credential is asked of {where}", mend)


def _away(about: str, url: str, variable: str) -> Finding:
    mend = f"start it, or correct {variable} (`make run` brings its own where {variable} is not set)"
    return Finding("fail", about, f"does not answer at {reach.place(url)}", mend)


def _database(configured: Settings) -> Iterator[Finding]:
    engine = create_engine(configured.database_url, connect_args={"connect_timeout": 2})
    try:
        with Session(engine) as session:
            version = str(session.scalar(text("show server_version"))).split()[0]
            yield Finding("ok", "database", f"PostgreSQL {version}")
            at = migrations.current(session.connection())
            if at == migrations.head():
                yield Finding("ok", "migrations", f"at {at}, the newest")
            else:
                wrong = f"at {at or 'none'}, this version needs {migrations.head()}"
                yield Finding("fail", "migrations", wrong, "`python -m app migrate`")
            yield _clock(session)
        if at is not None:
            yield from _workers(engine, configured)
    except DBAPIError as fault:
        why = str(fault.orig).splitlines()[0]
        yield Finding("fail", "database", f"refuses us: {why}", "correct DATABASE_URL, or what that account may do")
    finally:
        engine.dispose()


def _clock(session: Session) -> Finding:
    before = utc_now()
    theirs: datetime = session.scalars(text("select clock_timestamp()")).one()
    apart = abs((theirs - before - (utc_now() - before) / 2).total_seconds())
    wrong = f"{apart:.1f} s apart from the database's"
    mend = "keep both machines' clocks by NTP"
    if apart > _CLOCK_FAIL_SECONDS:
        return Finding("fail", "clock", wrong, mend)
    return Finding("warn", "clock", wrong, mend) if apart > _CLOCK_WARN_SECONDS else Finding("ok", "clock", wrong)


def _workers(engine: Engine, configured: Settings) -> Iterator[Finding]:
    """A line for each lane; those of optional parts only where somebody works on them."""
    gives_up = time.monotonic() + _STARTING_SECONDS
    while not all((devices := _devices(engine)).values()) and time.monotonic() < gives_up:
        time.sleep(0.25)
    with Session(engine) as session:
        starting = any(utc_now() - worker.started_at < _STARTS_LATE for worker in workers.alive(session))
    for lane, found in sorted(devices.items()):
        if found:
            on = ", ".join(f"{number} on {device}" for device, number in sorted(found.items()))
            yield Finding("ok", f"lane {lane}", f"{counted(found.total(), 'worker')}: {on}")
        else:
            log = "fleet" if lane.startswith("tts.") else f"worker_{'io' if lane == 'listen' else lane}"
            if starting:
                yield Finding("warn", f"lane {lane}", "no worker yet, but others started just now", "wait a moment")
                continue
            mend = f"{configured.var_dir / 'log' / log}.log says why, where it was started"
            yield Finding("fail", f"lane {lane}", "no worker, so its jobs wait", mend)


def _devices(engine: Engine) -> dict[str, Counter[str]]:
    """How many live workers each lane has, by device."""
    devices: dict[str, Counter[str]] = {lane: Counter() for lane in _lanes()}
    with Session(engine) as session:
        for worker in workers.alive(session):
            for lane in worker.lanes if not worker.draining else ():
                devices.setdefault(lane, Counter())[worker.device] += 1
    return devices


def _lanes() -> list[str]:
    # Those of optional parts are shown where somebody works on them.
    catalogue = voices.catalogue()
    pools = [pool for pool in catalogue.pools if pool not in catalogue.optional_pools]
    speaking = (lane(pool) for pool in pools for lane in (voices.live_lane, voices.background_lane))
    return [*speaking, "io", "listen", "imports", "upkeep"]


def _queue(configured: Settings) -> Iterator[Finding]:
    about = "queue"
    try:
        with redis.Redis.from_url(configured.redis_url, socket_timeout=2, socket_connect_timeout=1) as client:
            server: dict[str, Any] = client.info()
    except redis.RedisError as fault:
        yield Finding("fail", about, f"refuses us: {fault}", "correct REDIS_URL")
        return
    name = f"{server.get('server_name', 'redis')} {server.get('valkey_version', server['redis_version'])}"
    if not server["aof_enabled"]:
        wrong = f"{name} keeps no log: messages are lost when it stops, and rung again late"
        yield Finding("warn", about, wrong, "`appendonly yes` in its configuration")
    elif server["maxmemory_policy"] != "noeviction":
        wrong = f"{name} may drop messages (maxmemory-policy {server['maxmemory_policy']})"
        yield Finding("warn", about, wrong, "`maxmemory-policy noeviction` in its configuration")
    else:
        yield Finding("ok", about, f"{name}, append-only log on")


def _streams(configured: Settings) -> Finding:
    if configured.stream_redis_url == configured.redis_url:
        wrong = "audio goes through the queue's server, and into its log"
        return Finding("warn", "streams", wrong, "a second server without a log, at STREAM_REDIS_URL")
    try:
        with redis.Redis.from_url(configured.stream_redis_url, socket_timeout=2, socket_connect_timeout=1) as client:
            client.ping()
    except redis.RedisError:
        return _away("streams", configured.stream_redis_url, "STREAM_REDIS_URL")
    return Finding("ok", "streams", "answers")


def _mcp(configured: Settings) -> Finding:
    about = f"MCP, port {configured.mcp_port}"
    if answers_health(configured.host, configured.mcp_port):
        return Finding("ok", about, "answers; programs find the tools at /mcp")
    mend = f"{configured.var_dir / 'log' / 'mcp.log'} says why, where it was started"
    return Finding("warn", about, "does not answer; programs cannot call tools by this protocol", mend)


def _flower(configured: Settings) -> Finding:
    host = reach.local(configured.host)
    try:
        socket.create_connection((host, configured.flower_port), timeout=reach.CONNECT_SECONDS).close()
    except OSError:
        mend = f"{configured.var_dir / 'log' / 'flower.log'} says why; only the page that shows the workers is missing"
        return Finding("warn", "Flower", f"does not answer on port {configured.flower_port}", mend)
    kept = "FLOWER_PASSWORD" if configured.configured_flower_password else str(configured.flower_password_path)
    return Finding("ok", "Flower", f"answers on port {configured.flower_port}; user admin, password in {kept}")
