"""``python -m bench.million [rows]``: what a million clips do to a look-up and to the care of the cache."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.service import Client, Service
from bench.texts import thirty_seconds
from models import speech_eviction, speech_renditions
from models.db import Database
from models.speech_renditions import Form

_CLIPS = text(
    """insert into speech_clips (key, state, spec, awaited, duration_seconds, sample_rate_hz, last_used_at)
    select encode(sha256(n::text::bytea), 'hex'), 'ready', '{"text": "x"}', false, 5.0, 24000,
           now() - n * interval '1 second'
    from generate_series(1, :rows) n"""
)
_RENDITIONS = text(
    """insert into speech_renditions (clip_key, format, sample_rate_hz, channels, loudness_lufs, file, size_bytes)
    select encode(sha256(n::text::bytea), 'hex'), 'wav', 0, 1, 0.0, encode(sha256(n::text::bytea), 'hex'), 1000
    from generate_series(1, :rows) n"""
)


def main() -> None:
    """Measures with few rows, then with many, and prints both with the plan of the look-up."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    os.environ["SPEECH_CACHE_MAX_BYTES"] = str(10**15)
    with Service() as service:
        database = Database(service.database_url, lambda signals: None)
        client, said = service.client(), thirty_seconds()
        client.speak(said)
        few = _measure(database, client, said)
        began = time.perf_counter()
        with database.engine.begin() as connection:
            connection.execute(text("set local statement_timeout = 0"))
            connection.execute(_CLIPS, {"rows": rows})
            connection.execute(_RENDITIONS, {"rows": rows})
        inserting = time.perf_counter() - began
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("analyze"))
        many = _measure(database, client, said)
        plan = _plan(database)
        database.dispose()
    print(f"{rows} rows, stored in {inserting:.0f} s; load average {os.getloadavg()[0]:.2f}")
    for name in few:
        print(f"{name:28} {few[name]:9.2f} ms {many[name]:9.2f} ms")
    print("\n".join(plan))
    path = Path(__file__).parent / "results" / "million.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rows": rows, "few_ms": few, "many_ms": many, "plan": plan}, indent=1))


def _measure(database: Database, client: Client, said: str) -> dict[str, float]:
    with database.reading() as session:
        key = session.execute(text("select clip_key from speech_renditions order by created_at limit 1")).scalar_one()
        found = _median(lambda: speech_renditions.find(session, key, Form("wav")), 200)
        missing = _median(lambda: speech_renditions.find(session, "0" * 64, Form("wav")), 200)
        figures = _median(lambda: _figures(session), 3)
    with database.transaction() as session:
        evict = _median(lambda: speech_eviction.evict(session, max_bytes=10**15), 3)
    hit = statistics.median(client.timed(said)[0] for _ in range(200)) * 1000
    return {
        "look-up, found": found,
        "look-up, missing": missing,
        "hit at the client": hit,
        "cache figures": figures,
    } | {"one round of care": evict}


def _figures(session: Session) -> Any:
    return speech_renditions.figures(session)


def _median(act: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _plan(database: Database) -> list[str]:
    query = """explain analyze select r.file from speech_renditions r join speech_clips c on c.key = r.clip_key
        where r.clip_key = encode(sha256('77777'::bytea), 'hex') and r.format = 'wav' and r.sample_rate_hz = 0
        and r.channels = 1 and r.loudness_lufs = 0.0 and c.state = 'ready'"""
    with database.engine.connect() as connection:
        return [str(line) for line in connection.execute(text(query)).scalars()]


if __name__ == "__main__":
    main()
