"""What a completed deployment holds, over HTTP: manifest, bundle, captions; and what is said of what is gone."""

from __future__ import annotations

import hashlib
import io
import json
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile
from flask.testing import FlaskClient
from sqlalchemy import func, update
from urllib3.exceptions import ProtocolError

from app import context, deployments
from app.http import zips
from models import speech_clips
from models.db import Database
from models.jobs.tables import Job, JobItem
from models.speech_renditions import SpeechRendition
from tests import making
from tests.app.deploying import NOVA, QUICK, TEXTS, TITLES, Deployments, in_hours, row, store_course
from tests.app.test_captions import check_cues, parse_srt, parse_vtt
from tests.web import Web


@pytest.fixture
def mine(client: FlaskClient, customer: dict[str, str]) -> Deployments:
    """The endpoints, as an ordinary client sees them."""
    return Deployments(client, customer)


@pytest.fixture
def course(database: Database) -> str:
    """The id of a course of two topics with titles that no file system takes."""
    return store_course(database, TEXTS, TITLES)


@pytest.fixture
def done(mine: Deployments, course: str, worker: object) -> str:
    """The id of a completed deployment in two voices."""
    return str(mine.made(course, NOVA, QUICK)["id"])


def test_nothing_can_be_had_before_it_is_completed(mine: Deployments, course: str) -> None:
    scheduled = mine.schedule(course, scheduled_time=in_hours(5)).get_json()["id"]
    for what in ("manifest", "bundle", "captions"):
        refused = mine.get(f"/{scheduled}/{what}")
        assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
        assert "scheduled" in refused.get_json()["error"]


def test_the_manifest_names_every_file_in_order_with_paths_that_every_system_takes(
    mine: Deployments, done: str, course: str
) -> None:
    told = mine.get(f"/{done}/manifest").get_json()
    assert (told["deployment_id"], told["curriculum_id"], told["title"]) == (done, course, "Ein schöner Kurs")
    assert [voice["folder"] for voice in told["voices"]] == ["nova", "nova-2"]
    topics = ["01-a-b-is-it-safe", "02-topic"]
    assert [file["path"] for file in told["files"]] == [
        f"{folder}/{path}.{extension}"
        for folder, extension in (("nova", "wav"), ("nova-2", "mp3"))
        for path in (f"{topics[0]}/001", f"{topics[0]}/003", f"{topics[1]}/001")
    ]
    first = told["files"][1]
    assert (first["topic_id"], first["segment_id"], first["topic_index"], first["segment_index"]) == ("t0", "s2", 0, 2)
    assert (first["voice_id"], first["format"], first["sample_rate_hz"]) == ("nova", "wav", 24000)
    assert told["missing"] == []
    assert told["totals"] == {
        "files": 6,
        "missing": 0,
        "size_bytes": sum(file["size_bytes"] for file in told["files"]),
        "duration_seconds": pytest.approx(sum(file["duration_seconds"] for file in told["files"]), abs=0.01),
    }
    for file in told["files"]:
        sound = mine.http.get(file["url"], headers=mine.headers).data
        assert (len(sound), hashlib.sha256(sound).hexdigest()) == (file["size_bytes"], file["sha256"])


def test_the_bundle_holds_what_its_manifest_says(mine: Deployments, done: str) -> None:
    bundle = mine.bundle(done)
    assert bundle.testzip() is None
    told = json.loads(bundle.read("manifest.json"))
    assert told == mine.get(f"/{done}/manifest").get_json()
    named = [entry["path"] for entry in [*told["files"], *told["captions"]]]
    assert sorted(bundle.namelist()) == sorted(["manifest.json", *named])
    assert all(entry.compress_type == zipfile.ZIP_STORED for entry in bundle.infolist())
    for file in told["files"]:
        content = bundle.read(file["path"])
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["size_bytes"], file["sha256"])
        samples, rate = soundfile.read(io.BytesIO(content))
        assert (rate, len(samples) / rate) == (24000, pytest.approx(file["duration_seconds"], abs=0.15))
        assert abs(samples).max() > 0.05
    for caption in told["captions"]:
        text = bundle.read(caption["path"]).decode()
        assert mine.http.get(caption["url"], headers=mine.headers).text == text
        seconds = sum(
            file["duration_seconds"]
            for file in told["files"]
            if file["path"].startswith(caption["path"].rpartition("/")[0])
        )
        check_cues(parse_srt(text) if caption["format"] == "srt" else parse_vtt(text)[0], seconds)


def test_equal_bundles_are_equal_byte_for_byte_and_not_sent_twice(mine: Deployments, done: str) -> None:
    one, other = (mine.get(f"/{done}/bundle") for _ in range(2))
    assert one.data == other.data
    assert one.headers["ETag"] == other.headers["ETag"]
    assert one.headers["Content-Disposition"] == 'attachment; filename="ein-schoner-kurs.zip"'
    headers = mine.headers | {"If-None-Match": one.headers["ETag"]}
    again = mine.http.get(f"/api/deployments/{done}/bundle", headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    head = mine.http.head(f"/api/deployments/{done}/bundle", headers=mine.headers)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", one.headers["ETag"])


def test_a_bundle_is_sent_while_it_is_put_together_in_bounded_memory(
    mine: Deployments, database: Database, done: str
) -> None:
    """A file of 64 MiB goes through in pieces of one."""
    size_bytes = grow(mine, database, done, 64)
    sent = hashlib.sha256()
    answer = mine.http.get(f"/api/deployments/{done}/bundle", headers=mine.headers, buffered=False)
    assert "Content-Length" not in answer.headers
    tracemalloc.start()
    pieces = [(sent.update(piece), len(piece))[1] for piece in answer.iter_encoded()]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(pieces) > size_bytes
    assert max(pieces) < 3 * zips.BLOCK_BYTES
    assert most < 8 * zips.BLOCK_BYTES


def grow(mine: Deployments, database: Database, deployment_id: str, megabytes: int) -> int:
    """How many bytes the first file of the deployment has from now on."""
    content = bytes(range(256)) * (megabytes * 4096)
    with mine.http.application.app_context():
        name = context.current().files.put(content)
    first = mine.get(f"/{deployment_id}/manifest").get_json()["files"][0]["sha256"]
    with database.transaction() as session:
        larger = update(SpeechRendition).where(SpeechRendition.file == first)
        session.execute(larger.values(file=name, size_bytes=len(content)))
    return len(content)


def test_a_bundle_whose_files_vanish_while_it_is_sent_never_looks_like_a_whole_one(
    mine: Deployments, database: Database, customer: dict[str, str], web: Web, done: str
) -> None:
    grow(mine, database, done, 64)
    last = mine.get(f"/{done}/manifest").get_json()["files"][-1]["sha256"]
    with web.get(f"/api/deployments/{done}/bundle", headers=customer, stream=True) as answer:
        assert answer.status_code == 200
        assert answer.raw.read(1000)
        with mine.http.application.app_context():
            context.current().files.remove([last])
        with pytest.raises(ProtocolError):
            sum(len(piece) for piece in iter(lambda: answer.raw.read(2**20), b""))
    assert web.get("/health").ok


def test_others_are_served_while_a_bundle_is_sent(
    mine: Deployments, database: Database, customer: dict[str, str], web: Web, done: str
) -> None:
    size_bytes = grow(mine, database, done, 256)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(lambda: web.get(f"/api/deployments/{done}/bundle", headers=customer))
        waits = []
        while not sending.done():
            began = time.monotonic()
            assert web.get("/health").ok
            waits.append(time.monotonic() - began)
        assert len(sending.result().content) > size_bytes
    assert len(waits) > 3
    # A file that is read in one go takes a tenth of a second and more.
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_a_file_that_is_gone_is_found_before_the_first_byte(mine: Deployments, done: str) -> None:
    file = mine.get(f"/{done}/manifest").get_json()["files"][-1]
    with mine.http.application.app_context():
        context.current().files.remove([file["sha256"]])
    refused = mine.get(f"/{done}/bundle")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
    assert file["path"] in refused.get_json()["error"]
    assert refused.get_json()["details"] == {"clip": file["clip"]}


def test_a_clip_that_is_gone_is_named_and_a_new_deployment_makes_it_again(
    mine: Deployments, done: str, course: str, database: Database
) -> None:
    file = mine.get(f"/{done}/manifest").get_json()["files"][0]
    with database.transaction() as session:
        speech_clips.forget_file(session, file["clip"])
    for what in ("manifest", "bundle"):
        refused = mine.get(f"/{done}/{what}")
        assert (refused.status_code, refused.get_json()["code"]) == (409, "CONFLICT")
        assert file["path"] in refused.get_json()["error"]
    assert mine.get(f"/{done}/captions").status_code == 404
    mine.made(course)
    assert mine.get(f"/{done}/manifest").status_code == 200


def test_what_failed_is_listed_and_the_rest_can_be_had(
    mine: Deployments, database: Database, course: str, worker: object
) -> None:
    done = mine.made(course)["id"]
    with database.transaction() as session:
        voice = deployments.voices(session, session.get_one(Job, done))[0].job
    making.change_items(database, voice, finished_at=func.now())
    item = making.read_items(database, voice)[1]
    with database.transaction() as session:
        failed = {"state": "failed", "result": None, "error_code": "bad_input", "error_message": "It broke."}
        session.execute(update(JobItem).where(JobItem.id == item.id).values(**failed))
    for job in (voice, row(database, done)):
        making.change(database, job, items_succeeded=2, items_failed=1)
    assert mine.get(f"/{done}").get_json()["status"] == "completed_with_errors"
    told = mine.get(f"/{done}/manifest").get_json()
    assert (len(told["files"]), told["totals"]["missing"]) == (2, 1)
    (missing,) = told["missing"]
    assert (missing["segment_id"], missing["path"]) == ("s2", "nova/01-a-b-is-it-safe/003.wav")
    assert missing["error"] == {"code": "bad_input", "message": "It broke."}
    assert len([name for name in mine.bundle(done).namelist() if name.endswith(".wav")]) == 2
    assert "first topic" not in mine.get(f"/{done}/captions", format="srt").text
    # And a retry makes it.
    assert mine.act(done, "retry").status_code == 200
    mine.until(done, "completed")
    assert "first topic" in mine.get(f"/{done}/captions", format="srt").text


def test_captions_are_of_a_topic_or_of_all_of_them_one_after_the_other(mine: Deployments, done: str) -> None:
    told = mine.get(f"/{done}/manifest").get_json()
    seconds = [
        sum(file["duration_seconds"] for file in told["files"] if file["path"].startswith(f"nova/0{topic}"))
        for topic in (1, 2)
    ]
    first, second, whole = (
        parse_srt(mine.get(f"/{done}/captions", format="srt", **asked).text)
        for asked in ({"topic_id": "t0"}, {"topic_id": "t1", "voice_id": "nova"}, {})
    )
    check_cues(first, seconds[0])
    check_cues(second, seconds[1])
    check_cues(whole, sum(seconds))
    text = " ".join(cue.text for cue in whole)
    assert text == "Good morning. This is the first topic. And this is the second."
    assert " ".join(cue.text for cue in first) == "Good morning. This is the first topic."
    assert [cue.text for cue in second] == ["And this is the second."]
    cues, _ = parse_vtt(mine.get(f"/{done}/captions").text)
    assert [cue.text for cue in cues] == [cue.text for cue in whole]
    as_json = mine.get(f"/{done}/captions", format="json").get_json()
    assert as_json["duration_seconds"] == pytest.approx(sum(seconds), abs=0.01)
    # The quick voice is done sooner.
    quick = parse_srt(mine.get(f"/{done}/captions", format="srt", voice_id="nova-2").text)
    assert quick[-1].end < whole[-1].end


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"topic_id": "t9"}, 404, "no topic 't9'"),
        ({"voice_id": "heart"}, 404, "no voice 'heart'; it has nova, nova-2"),
        ({"format": "txt"}, 400, "'txt' is not one of"),
    ],
)
def test_captions_of_what_is_not_there_are_refused(
    mine: Deployments, done: str, asked: dict[str, str], status: int, said: str
) -> None:
    answer = mine.get(f"/{done}/captions", **asked)
    assert answer.status_code == status
    assert said in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Introduction", "introduction"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "con"),
        ("Ünïcödé & more…", "unicode-more"),
        ("  ", "topic"),
        ("日本", "topic"),
        ("x" * 300, "x" * 40),
        ("a" * 39 + " b", "a" * 39),
        ("1.5: Half", "1-5-half"),
    ],
)
def test_a_name_becomes_a_path_that_every_system_takes(name: str, path: str) -> None:
    assert deployments.slug(name) == path


def test_a_large_bundle_is_a_zip64(mine: Deployments, done: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if four gigabytes were a few kilobytes."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 20_000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    content = mine.get(f"/{done}/bundle").data
    monkeypatch.undo()
    bundle = zipfile.ZipFile(io.BytesIO(content))
    assert bundle.testzip() is None
    assert b"PK\x06\x06" in content
