"""What a million rows do: to sending what is there, and to listing, claiming and ringing jobs."""

from __future__ import annotations

import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.answers import ask
from bench.room import Figures, Room
from bench.service import Service
from bench.speech.cached import CONNECTIONS, FORMATS, request_for
from bench.speech.jobs import median_ms
from bench.texts import thirty_seconds
from models import speech_eviction, speech_renditions
from models.db import Database
from models.jobs import queries, work
from models.jobs.lifecycle import NewJob, submit
from models.speech_renditions import Form

_FEW, _MANY = 1_000, 1_000_000
_SECONDS = 4.0
_TIMES = 50
_CLIPS = text(
    """insert into speech_clips (key, state, spec, awaited, duration_seconds, sample_rate_hz, last_used_at)
    select encode(sha256(n::text::bytea), 'hex'), 'ready', '{"text": "x"}', false, 5.0, 24000,
           now() - n * interval '1 second'
    from generate_series(cast(:low as bigint), :high) n"""
)
_RENDITIONS = text(
    """insert into speech_renditions (clip_key, format, sample_rate_hz, channels, loudness_lufs, file, size_bytes)
    select encode(sha256(n::text::bytea), 'hex'), 'wav', 0, 1, 0.0, encode(sha256(n::text::bytea), 'hex'), 1000
    from generate_series(cast(:low as bigint), :high) n"""
)
# Almost all that are kept have ended.
_JOBS = text(
    """insert into jobs (id, kind, lane, live, state, attempts, params, created_at, started_at, finished_at)
    select 'bench' || n, 'speech.speak', 'tts.live.neural', true, 'succeeded', 1, '{}',
           now() - n * interval '1 second', now() - n * interval '1 second', now() - n * interval '1 second'
    from generate_series(cast(:low as bigint), :high) n"""
)


def million(room: Room) -> Figures:
    """The figures of ``cached`` with a million clips in the index, and milliseconds of queries with 1 k and 1 M rows.

    In a server of its own, which keeps what is put into its tables.
    """
    found: Figures = {}
    with Service(SPEECH_CACHE_MAX_BYTES=str(10**15)) as service:
        database = Database(service.database_url, lambda signals: None)
        said = thirty_seconds()
        requests = {kind: request_for(service, said, kind) for kind in FORMATS}
        port = service.address[0]
        for request in requests.values():
            ask(port, request, connections=1, seconds=0.2)
        _fill(database, 1, _FEW)
        found |= {f"{name}.1k": value for name, value in _queries(database).items()}
        began = time.perf_counter()
        _fill(database, _FEW + 1, _MANY)
        found["million.filling_seconds"] = time.perf_counter() - began
        found |= {f"{name}.1m": value for name, value in _queries(database).items()}
        for kind, request in requests.items():
            one = ask(port, request, connections=1, seconds=_SECONDS)
            many = ask(port, request, connections=CONNECTIONS, seconds=_SECONDS)
            found |= {
                f"million.{kind}.p50_ms": one["p50_ms"],
                f"million.{kind}.p99_ms": one["p99_ms"],
                f"million.{kind}.a_second": many["a_second"],
            }
        database.dispose()
    return found


def _fill(database: Database, low: int, high: int) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("set local statement_timeout = 0"))
        for statement in (_CLIPS, _RENDITIONS, _JOBS):
            connection.execute(statement, {"low": low, "high": high})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _queries(database: Database) -> Figures:
    with database.reading() as session:
        key = session.execute(text("select clip_key from speech_renditions order by created_at limit 1")).scalar_one()
        found = {
            "rows.look_up_ms": median_ms(lambda: speech_renditions.find(session, key, Form("wav")), _TIMES),
            "rows.list_ms": median_ms(lambda: _list(session), _TIMES),
            "rows.ring_ms": median_ms(lambda: queries.waiting(session), _TIMES),
        }
    with database.transaction() as session:
        found["rows.care_ms"] = median_ms(lambda: speech_eviction.evict(session, max_bytes=10**15), 3)
    return found | {"rows.claim_ms": _claim_ms(database)}


def _list(session: Session) -> None:
    queries.page(session, limit=50)
    session.expunge_all()


def _claim_ms(database: Database) -> float:
    # Nobody's kind: no worker has a lane of this name.
    with database.transaction() as session:
        names = [f"claimed{time.time_ns()}-{number}" for number in range(_TIMES)]
        for name in names:
            submit(session, NewJob(name, "bench.claimed", "bench", {}, {}), doorbells=0)
    left = iter(names)

    def claim() -> None:
        with database.transaction(durable=False) as session:
            assert work.claim_job(session, next(left), node="bench", lease_seconds=600)

    taken = median_ms(claim, _TIMES)
    with database.transaction() as session:
        session.execute(text("delete from jobs where kind = 'bench.claimed'"))
    return taken
