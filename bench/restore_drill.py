"""``python -m bench.restore_drill``: backs up as docs/operations.md says, restores in another folder, and compares.

What is compared: every row of every table with what the dump saw, every file, and what a client hears and may do.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from bench.drill_site import PASSWORD, Site
from config import embedded, server_data

# What docs/operations.md leaves out.
_LEFT_OUT = ("postgres", "queue", "stream", "run", "log", "cache", "files/unfinished")
_SEGMENTS = [f"This is segment {number} of a lesson that nobody may lose." for number in range(1, 13)]
_LATER = [f"Number {number} was not spoken yet when the copy was made." for number in range(1, 25)]
# Of a course on a machine that others keep busy.
_PATIENCE_SECONDS = 240.0


def main() -> int:
    """Exit status 0 where the restored installation is the one that was backed up."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="vw-drill-") as folder:
            _drill(Path(folder), lambda said: print(f"{time.monotonic() - began:6.1f} s  {said}", flush=True))
    except AssertionError as fault:
        print(f"The drill failed: {fault}")
        return 1
    return 0


def _drill(folder: Path, say: Callable[[str], None]) -> None:
    backup = folder / "backup"
    backup.mkdir(mode=0o700)
    with Site(folder / "first", VOICEWORKS_ADMIN_PASSWORD=PASSWORD).serving() as first:
        say(f"An installation serves on port {first.port}.")
        made = _make(first)
        say(
            "It has a course, a deployment of it, sound, a service with a secret, a task for transcribers; "
            f"{made['bytes']} bytes of it are compared at the end."
        )
        rows, unmade = back_up(first, backup)
        told = ", ".join(f"{path.name} {path.stat().st_size:,} bytes" for path in sorted(backup.iterdir()))
        say(
            f"Backed up while a course was being spoken, {unmade} of whose segments were not yet: {told}; "
            f"{sum(count for count, _ in rows.values())} rows."
        )
    say("It is stopped, and its folder is not looked at again.")
    second = Site(folder / "second")
    subprocess.run(["tar", "--extract", "--file", backup / "files.tar", "--directory", second.folder], check=True)
    with second.releasing():
        say("Files are unpacked into another folder, whose servers have an empty database.")
        restore(second, backup)
        _compare_rows(second, rows)
        say(f"Every row of {len(rows)} tables is as the dump saw it.")
        files, known = _compare_files(first, second)
        say(f"{files} files are what their names are the hashes of; all {known} that rows point to are there.")
    with second.serving():
        say(f"The restored installation serves on port {second.port}.")
        for said in _use(second, made):
            say(said)
    say("The drill is done: nothing is missing.")


# --- Something to lose ------------------------------------------------------------------------------------------------


def _make(site: Site) -> dict[str, Any]:
    signed_in = site.sign_in()
    key = site.good("POST", "/api/auth/keys", json={"name": "drill"}).json()["key"]
    content = [{"title": "All of it", "segments": _SEGMENTS}]
    course = site.good("POST", "/api/curriculum", json={"title": "A lesson", "content": content}).json()["id"]
    site.good("POST", "/api/pronunciations", json={"written": "Vaughan", "spoken": "Vawn"})
    service = {"name": "Plex", "type": "plex", "url": "http://127.0.0.1:1", "api_key": "a secret of a service"}
    site.good("POST", "/api/services", json=service)
    spoken = site.good("POST", "/api/tts", json={"text": "Is this still here?", "format": "mp3"})
    take = site.good("POST", "/api/tts", json={"text": "A take for a transcriber."}).content
    site.good("POST", "/api/transcription/import", files={"file": ("take.wav", take)})
    wanted = {"curriculum_id": course, "voice_configs": [{"voice_id": "nova"}, {"voice_id": "nova", "format": "opus"}]}
    deployment = site.good("POST", "/api/deployments", json=wanted).json()["id"]
    site.until(f"/api/deployments/{deployment}", "completed", within_seconds=_PATIENCE_SECONDS)
    bundle = site.good("GET", f"/api/deployments/{deployment}/bundle").content
    session = site.good("POST", "/api/sessions", json={"curriculum_id": course}).json()["id"]
    site.good("PATCH", f"/api/sessions/{session}", json={"segment_index": 7, "offset_ms": 350})
    # In the middle of it the copy is made.
    later = [{"title": "Later", "segments": _LATER}]
    unfinished = site.good("POST", "/api/curriculum", json={"title": "Later", "content": later}).json()["id"]
    prefetch = site.good("POST", "/api/tts/prefetch/topic", json={"curriculum_id": unfinished}).json()["job_id"]
    return {
        "key": key,
        "refresh_token": signed_in["refresh_token"],
        "webhook_secret": site.good("GET", "/api/auth/webhook-secret").json()["secret"],
        "course": site.good("GET", f"/api/curriculum/{course}").json(),
        "session": site.good("GET", f"/api/sessions/{session}").json(),
        "clip": (spoken.headers["Content-Location"], spoken.content),
        "deployment": deployment,
        "bundle": bundle,
        "prefetch": prefetch,
        "bytes": f"{len(bundle) + len(spoken.content):,}",
    }


# --- Backup and restore, as docs/operations.md has them ---------------------------------------------------------------

Rows = dict[str, tuple[int, str]]


def back_up(site: Site, folder: Path) -> tuple[Rows, int]:
    """Dumps the database, then copies the files, while everything runs.

    What the dump saw of each table, and how many pieces of work were not done in it.
    """
    engine = create_engine(embedded.postgres_url(site.folder), poolclass=NullPool, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        # Rows are counted in the very moment that the dump is of.
        snapshot = connection.scalar(text("select pg_export_snapshot()"))
        rows = _rows(connection)
        unmade = connection.scalar(text("select count(*) from job_items where finished_at is null")) or 0
        _postgres(
            *("pg_dump", site.folder, "--format", "custom", "--snapshot", snapshot),
            *("--file", folder / "database.dump", "voiceworks"),
        )
    excluded = [word for name in _LEFT_OUT for word in ("--exclude", f"./{name}")]
    tar = ["tar", "--create", "--file", str(folder / "files.tar"), "--directory", str(site.folder), *excluded, "."]
    # 1: something changed while it was read, such as the folder that it is in.
    status = subprocess.run(tar, check=False).returncode
    assert status in (0, 1), f"tar ended with {status}"
    return rows, unmade


def restore(site: Site, folder: Path) -> None:
    """The dump in the place of what ``release`` made."""
    _postgres(
        *("pg_restore", site.folder, "--dbname", "voiceworks", "--clean", "--if-exists"),
        *("--exit-on-error", "--single-transaction", folder / "database.dump"),
    )


def _postgres(program: str, var_dir: Path, *arguments: object) -> None:
    where = ("--host", embedded.socket_dir(var_dir), "--username", "postgres")
    command = [str(word) for word in (server_data.postgres_program(program), *where, *arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr}"


def _rows(connection: Connection) -> Rows:
    """How many rows each table has, and a hash of all of them."""
    names = connection.scalars(text("select tablename from pg_tables where schemaname = 'public' order by 1")).all()
    found = {}
    for name in names:
        hashes = f"select md5(row::text) as hashed from {name} as row"
        both = f"select count(*), md5(coalesce(string_agg(hashed, '' order by hashed), '')) from ({hashes}) as hashes"
        count, hashed = connection.execute(text(both)).one()
        found[name] = (count, hashed)
    assert {"alembic_version", "accounts", "jobs", "job_items"} <= set(found)
    return found


def _compare_rows(site: Site, expected: Rows) -> None:
    with create_engine(embedded.postgres_url(site.folder), poolclass=NullPool).connect() as connection:
        found = _rows(connection)
    differ = {name for name in expected | found if expected.get(name) != found.get(name)}
    assert not differ, f"tables differ: {', '.join(sorted(differ))}"
    empty = [name for name in ("jobs", "job_items", "segments", "speech_clips", "services") if not found[name][0]]
    assert not empty, f"nothing was to be lost of {', '.join(empty)}"


def _compare_files(first: Site, second: Site) -> tuple[int, int]:
    """How many files there are, and how many the rows of the dump point to."""
    stored = [path for path in (second.folder / "files").rglob("*") if path.is_file()]
    for path in stored:
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == path.name.partition(".")[0], f"{path.name} is another"
    assert (first.folder / "secret.key").read_bytes() == (second.folder / "secret.key").read_bytes()
    with create_engine(embedded.postgres_url(second.folder), poolclass=NullPool).connect() as connection:
        tables = connection.scalars(
            text("select table_name from information_schema.columns where column_name = 'file'")
        )
        known = {file for table in tables.all() for file in connection.scalars(text(f"select file from {table}"))}
    missing = known - {None} - {path.name for path in stored}
    assert not missing, f"files are missing: {', '.join(sorted(missing))}"
    return len(stored), len(known)


# --- Use --------------------------------------------------------------------------------------------------------------


def _use(site: Site, made: dict[str, Any]) -> list[str]:
    """One sentence for each thing that is as it was."""
    site.key = made["key"]
    tokens = site.good("POST", "/api/auth/refresh", json={"refresh_token": made["refresh_token"]}).json()
    assert tokens["access_token"]
    assert site.good("GET", "/api/auth/webhook-secret").json()["secret"] == made["webhook_secret"]
    site.sign_in()
    site.key = made["key"]
    course, session = made["course"], made["session"]
    assert site.good("GET", f"/api/curriculum/{course['id']}").json() == course, "the course differs"
    assert site.good("GET", f"/api/sessions/{session['id']}").json() == session, "the session differs"
    path, clip = made["clip"]
    assert site.good("GET", path).content == clip, "a stored clip differs"
    again = site.good("POST", "/api/tts", json={"text": "Is this still here?", "format": "mp3"})
    assert (again.headers["X-TTS-Cache-Status"], again.content) == ("hit", clip), "a clip is not found again"
    bundle = site.good("GET", f"/api/deployments/{made['deployment']}/bundle").content
    assert bundle == made["bundle"], "the deployment's bundle differs"
    ended = site.until(f"/api/tts/prefetch/{made['prefetch']}", "completed", within_seconds=_PATIENCE_SECONDS)
    assert (ended["completed_segments"], ended["failed_segments"]) == (len(_LATER), 0), ended
    new = site.good("POST", "/api/tts", json={"text": "And this is new."})
    assert new.headers["X-TTS-Cache-Status"] == "miss"
    return [
        "The key, the password, the refresh token and the key of webhooks are the old ones.",
        f"The course is the same, the session is at segment {session['segment_index']}.",
        f"The clip played: a hit of {len(clip):,} bytes, the same; so is the deployment's bundle ({len(bundle):,}).",
        f"The course that was being spoken is spoken to its end: {ended['completed_segments']} of {len(_LATER)}.",
        "A new text is spoken.",
    ]


if __name__ == "__main__":
    sys.exit(main())
