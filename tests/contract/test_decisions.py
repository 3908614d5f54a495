"""decisions.md as far as this version goes: shared endpoints, speech answers, jobs, prefetches, errors by port."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from config.versions import AUDIO_FORMATS
from models import curricula
from models.curricula import NewSegment, NewTopic
from models.db import Database
from models.jobs.tables import STATES
from tests import making
from tests.conftest import eventually
from tests.contract.conftest import Reach, assert_refused, routes, template
from tests.contract.document import Document, Request, assert_shaped, quoted

DECISIONS = Document("decisions")
SPEAK = Request("POST", "/api/tts", {"Content-Type": "application/json"})

# Paths of decisions.md that are tested in this folder.
HERE = {
    "PUT /api/groups/{id}/members",
    "GET /api/groups/explain",
    "POST /api/mcp/tools/{name}",
    "POST /api/transcription/import",
    "GET /health",
    "GET /api/stats",
    "GET /api/jobs",
    "GET /api/jobs/{id}/result",
    "GET /api/jobs/{id}/deliveries",
    "POST /api/tts",
    "GET /api/speech/{clip}.{ext}",
    "GET /api/tts/cache",
    "POST /api/tts/prefetch/topic",
    "GET /api/tts/prefetch/{job_id}",
    "DELETE /api/tts/prefetch/{job_id}",
    "DELETE /api/tts/cache",
    "GET /api/tts/voices",
    "GET /api/speech/{clip}/captions",
    "GET /api/curriculum/{id}/topics/{topic_id}/captions",
    "POST /api/auth/refresh",
    "POST /api/auth/logout",
    "POST /api/auth/ws-ticket",
    "DELETE /api/sessions/{id}",
    "GET /api/auth/me",
    "POST /api/auth/password",
    "GET /api/auth/keys",
    "POST /api/auth/keys",
    "DELETE /api/auth/keys/{id}",
    "GET /api/users",
    "POST /api/users",
    "GET /api/users/{id}",
    "PATCH /api/users/{id}",
    "DELETE /api/users/{id}",
    "POST /api/deployments/{id}/retry",
    "GET /api/deployments/{id}/manifest",
    "GET /api/deployments/{id}/bundle",
    "GET /api/deployments/{id}/captions",
    "GET /api/imports/sources",
    "POST /api/imports",
    "DELETE /api/imports/{id}",
    "GET /api/curriculum/search",
    "GET /api/curriculum/{id}/export",
    "POST /api/test/file",
    "POST /api/test/device",
    "GET /api/training/base-models",
    "GET /api/training/sessions/{id}",
    "GET /api/training/workers",
}


def promised_paths() -> set[str]:
    """Every method and path that the page writes as code, with ``|`` between several of either."""
    found = re.findall(r"`([A-Z]+(?:\|[A-Z]+)*) (/(?:[^\s`?]*/)?)([^\s`?/]+)", DECISIONS.text)
    return {
        f"{method} {folder}{name}"
        for methods, folder, names in found
        for method in methods.split("|")
        for name in names.split("|")
    }


def test_a_path_exists_exactly_when_it_has_a_test(client: FlaskClient) -> None:
    there = {promise for promise in promised_paths() if template(*promise.split(" ")) in routes(client)}
    # One that comes is put into HERE, with a test.
    assert there == HERE


# --- Shared endpoints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["management", "gateway", "wakewords"])
def test_health_has_the_fields_of_every_document(client: FlaskClient, name: str) -> None:
    shown = Document(name)["Health Check"]
    answer = client.open(shown.request.target, method=shown.request.method)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), shown.answer)
    assert answer.get_json()["status"] == "healthy"


def test_health_has_every_field_of_the_union(client: FlaskClient) -> None:
    sentence = DECISIONS.sentence("`GET /health`").partition("`/health`:")[2].partition("`/api/health`")[0]
    answer = client.get("/health").get_json()
    fields = {"status", "version", "timestamp", "database", "uptime"}
    assert fields <= set(quoted(sentence))
    assert set(answer) == fields
    assert answer["status"] in quoted(sentence)
    assert answer["database"] in quoted(sentence)


def test_health_is_degraded_but_answers_without_a_database(application: Callable[..., FlaskClient]) -> None:
    http = application(database_url="postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    answer = http.get("/health")
    assert answer.status_code == 200
    assert (answer.get_json()["status"], answer.get_json()["database"]) == ("degraded", "disconnected")


def test_an_unreachable_database_is_a_503_that_says_when_to_come_back(
    application: Callable[..., FlaskClient], customer: dict[str, str]
) -> None:
    http = application(database_url="postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=1")
    answer = http.get("/api/curriculum", headers=customer)
    assert_refused(answer, 503, "UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert "nobody" not in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/health/x"])
def test_an_unknown_path_is_answered_so_that_every_client_can_read_it(client: FlaskClient, path: str) -> None:
    sentence = DECISIONS.sentence("Unknown paths, 405, 413")
    answer = client.get(path)
    assert answer.status_code == 404
    assert set(answer.get_json()) == set(re.findall(r'"(\w+)"', quoted(sentence)[0]))
    assert answer.get_json()["detail"] == answer.get_json()["error"]
    assert answer.get_json()["code"] == "NOT_FOUND"


def test_a_wrong_method_is_a_405_that_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.delete("/api/curriculum")
    assert (answer.status_code, answer.get_json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert set(answer.get_json()) == {"error", "code", "details", "detail"}


@pytest.mark.parametrize(
    ("port", "name"),
    [(8766, "management"), (8002, "gateway"), (7860, "management"), (8000, "wakewords"), (8010, "transcription")],
)
def test_an_unknown_path_on_a_documents_port_has_its_shape(client: FlaskClient, port: int, name: str) -> None:
    answer = client.get("/nothing", base_url=f"http://localhost:{port}")
    assert answer.status_code == 404
    shown = Document(name)["Error Responses"].answer
    assert {key: type(value) for key, value in answer.get_json().items()} == {
        key: type(value) for key, value in shown.items()
    }


def test_a_surfaces_error_keeps_its_shape_on_every_port(client: FlaskClient) -> None:
    for port in (8766, 8002, 7860, 8000, 8010):
        assert_refused(client.get("/api/curriculum", base_url=f"http://localhost:{port}"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("opened", ["gateway", "wakewords"])
def test_opening_one_surface_opens_no_other(application: Callable[..., FlaskClient], opened: str) -> None:
    http = application(open_surfaces=frozenset({opened}))
    assert http.get("/api/curriculum").status_code == 401
    assert http.get("/api/stats", base_url="http://localhost:8766").status_code == 401


def test_an_open_surface_still_refuses_a_wrong_credential(application: Callable[..., FlaskClient]) -> None:
    http = application(open_surfaces=frozenset({"management"}))
    assert_refused(http.get("/api/curriculum", headers={"X-API-Key": "wrong"}), 401, "UNAUTHORIZED")


# --- Speech -------------------------------------------------------------------------------------------------------


def test_speech_comes_with_every_promised_header(reach: Reach, worker: Any) -> None:
    sentence = DECISIONS.sentence("`POST /api/tts`: body").partition("Headers:")[2]
    headers = {name.partition(":")[0] for name in quoted(sentence)}
    answer = reach(SPEAK, body={"text": "Hello, headers."})
    assert headers - set(answer.headers.keys()) == {"X-TTS-Fallback"}
    assert answer.headers["X-TTS-Cache-Status"] == "miss"
    assert answer.headers["X-TTS-Provider"] == "hibari"
    assert answer.headers["Content-Type"] == "audio/wav"
    fell_back = reach(SPEAK, body={"text": "Hello, headers.", "provider": "vibevoice"})
    assert "X-TTS-Fallback" in fell_back.headers


def test_what_the_location_names_is_the_same_audio(reach: Reach, worker: Any) -> None:
    spoken = reach(SPEAK, body={"text": "Hello, location."})
    location = Request("GET", spoken.headers["Content-Location"])
    assert re.fullmatch(r"/api/speech/[0-9a-f]{64}\.wav", location.target)
    stored = reach(location)
    assert (stored.status_code, stored.data) == (200, spoken.data)
    for name in ("ETag", "Content-Type", "Content-Length", "X-TTS-Duration-Seconds", "X-TTS-Sample-Rate"):
        assert stored.headers[name] == spoken.headers[name]


def test_every_promised_format_is_spoken(reach: Reach, worker: Any) -> None:
    sentence = DECISIONS.sentence("`POST /api/tts`: body")
    formats = set(quoted(sentence.partition("`format`")[2].partition(", optional")[0]))
    assert len(formats) == 6
    lengths = set()
    for name in sorted(formats):
        answer = reach(SPEAK, body={"text": "Hello, formats.", "format": name})
        assert answer.status_code == 200, name
        assert answer.headers["Content-Type"] == AUDIO_FORMATS[name].media_type
        assert answer.headers["Content-Location"].endswith(f".{name}")
        lengths.add(answer.headers["X-TTS-Duration-Seconds"])
    assert len(lengths) == 1


def test_every_promised_field_is_taken(reach: Reach, worker: Any) -> None:
    sentence = DECISIONS.sentence("`POST /api/tts`: body").partition("Headers:")[0].partition("body")[2]
    values = {
        "text": "Hello, fields.",
        "voice_id": "nova",
        "provider": "hibari",
        "speed": 1.1,
        "format": "wav",
        "sample_rate": 16000,
        "seed": 7,
        "loudness_lufs": -18,
    }
    formats = {"wav", "mp3", "opus", "flac", "aac", "pcm", "nova"}
    assert set(quoted(sentence)) - formats == set(values)
    answer = reach(SPEAK, body=values)
    assert (answer.status_code, answer.headers["X-TTS-Sample-Rate"]) == (200, "16000")
    assert "sample_rate=16000" in answer.headers["Content-Location"]
    assert reach(Request("GET", answer.headers["Content-Location"])).data == answer.data


def test_what_an_engine_does_not_do_itself_is_said_or_refused(reach: Reach, worker: Any) -> None:
    own = reach(SPEAK, body={"text": "Hello, speed.", "speed": 1.5})
    stretched = reach(SPEAK, body={"text": "Hello, speed.", "speed": 3.0})
    assert "X-TTS-Emulated" not in own.headers
    assert stretched.headers["X-TTS-Emulated"] == "speed"
    lengths = [float(answer.headers["X-TTS-Duration-Seconds"]) for answer in (own, stretched)]
    assert lengths[1] == pytest.approx(lengths[0] / 2, rel=0.25)
    refused = reach(SPEAK, body={"text": "Hello, seed.", "voice_id": "espeak-en", "seed": 7})
    assert_refused(refused, 400, "VALIDATION_ERROR")
    assert "espeak" in refused.get_json()["error"]


def test_voices_are_listed_with_what_is_promised(reach: Reach, worker: Any) -> None:
    assert "`GET /api/tts/voices`" in DECISIONS.sentence("`GET /api/speech/{clip}.{ext}` serves ranges")
    page = reach(Request("GET", "/api/tts/voices")).get_json()
    assert set(page) == {"voices", "total", "limit", "offset"}
    nova = next(voice for voice in page["voices"] if voice["id"] == "nova")
    assert {"provider", "language", "engine", "available"} <= set(nova)
    assert (nova["engine"], nova["available"]) == ("hibari", True)


def test_an_emptied_cache_speaks_again(reach: Reach, worker: Any, admin: dict[str, str]) -> None:
    spoken = reach(SPEAK, body={"text": "Hello, cache."})
    cleared = reach.http.delete("/api/tts/cache", headers=admin)
    assert cleared.status_code == 200
    assert cleared.get_json()["removed_entries"] >= 1
    assert reach(SPEAK, body={"text": "Hello, cache."}).headers["X-TTS-Cache-Status"] == "miss"
    assert spoken.headers["X-TTS-Cache-Status"] == "miss"


@pytest.mark.parametrize("name", ["srt", "vtt", "json"])
def test_captions_come_in_every_promised_form(reach: Reach, database: Database, worker: Any, name: str) -> None:
    (promised,) = re.findall(r"`GET /api/speech/\{clip\}/captions\?format=(.*?)`", DECISIONS.text)
    assert name in promised.split("|")
    text = "Hello, captions."
    clip = reach(SPEAK, body={"text": text}).headers["Content-Location"].partition(".")[0]
    own = reach(Request("GET", f"{clip}/captions?format={name}"))
    course, topic = store_course(database, text)
    whole = reach(Request("GET", f"/api/curriculum/{course}/topics/{topic}/captions?format={name}"))
    assert (own.status_code, whole.status_code) == (200, 200)
    assert "Hello, captions." in own.text
    assert own.text == whole.text


def test_the_limits_of_speed_and_text_are_the_promised_ones(reach: Reach, worker: Any) -> None:
    (slow, fast) = re.findall(r"`speed` ([\d.]+)-([\d.]+)", DECISIONS.sentence("`POST /api/tts`: body"))[0]
    (limit,) = re.findall(r"`/api/tts` ([\d,]+)", DECISIONS.sentence("Text limits"))
    longest = int(limit.replace(",", ""))
    # Without a voice that exists nothing is spoken, but what is wrong is said before.
    for body in ({"speed": float(slow) - 0.01}, {"speed": float(fast) + 0.01}):
        assert "speed" in reach(SPEAK, body={"text": "Hi."} | body).get_json()["error"]
    assert "text" in reach(SPEAK, body={"text": "x" * (longest + 1)}).get_json()["error"]
    for speed in (float(slow), float(fast)):
        assert reach(SPEAK, body={"text": "Hi.", "speed": speed}).status_code == 200
    async_answer = reach(SPEAK, body={"text": "x " * (longest // 2)}, headers={"Prefer": "respond-async"})
    assert async_answer.status_code == 202
    cancelled = Request("POST", f"{async_answer.get_json()['status_url']}/cancel")
    assert reach.send(cancelled, headers=reach.credential).status_code == 200


def test_a_synonym_is_taken_for_the_provider(reach: Reach, worker: Any) -> None:
    assert "`tts_provider` for `provider`" in DECISIONS.sentence("Unknown fields")
    answer = reach(SPEAK, body={"text": "Hello, synonym.", "tts_provider": "vibevoice"})
    assert answer.status_code == 200
    assert "vibevoice" in answer.headers["X-TTS-Fallback"]


def test_with_prefer_respond_async_a_job_comes_first_and_the_audio_later(reach: Reach, worker: Any) -> None:
    (promised,) = re.findall(r"202 `\{(.*?)\}`", DECISIONS.sentence("`Prefer: respond-async`"))
    accepted = reach(SPEAK, body={"text": "Hello, later."}, headers={"Prefer": "respond-async"})
    assert accepted.status_code == 202
    assert set(accepted.get_json()) == set(promised.split(", "))
    assert accepted.headers["Location"] == accepted.get_json()["status_url"]
    assert accepted.headers["Preference-Applied"] == "respond-async"
    job = accepted.get_json()["job_id"]
    status = Request("GET", accepted.get_json()["status_url"])
    result = Request("GET", f"/api/jobs/{job}/result")
    done = eventually(lambda: (found := reach(status).get_json())["state"] == "succeeded" and found, within_seconds=20)
    assert (done["id"], done["kind"]) == (job, "speech.speak")
    audio = reach(result)
    assert (audio.status_code, audio.content_type) == (200, "audio/wav")
    assert audio.data == reach(SPEAK, body={"text": "Hello, later."}).data


# --- Courses ------------------------------------------------------------------------------------------------------


def test_courses_are_found_by_their_words(reach: Reach, database: Database) -> None:
    navigation, _ = store_course(database, "The navigators measured longitude.", "Clocks kept the time at sea.")
    store_course(database, "Bread needs flour and water.")
    page = reach(Request("GET", "/api/curriculum/search?q=measuring+navigator")).get_json()
    assert set(page) == {"curricula", "total", "limit", "offset"}
    assert [course["id"] for course in page["curricula"]] == [navigation]
    (place,) = page["curricula"][0]["matches"]
    assert "**navigators** **measured** longitude" in place["snippet"]
    assert reach(Request("GET", "/api/curriculum/search?q=gold")).get_json()["total"] == 0
    assert reach(Request("GET", '/api/curriculum/search?q="at sea" -bread')).get_json()["total"] == 1
    assert_refused(reach(Request("GET", "/api/curriculum/search")), 400, "VALIDATION_ERROR")


def test_an_exported_course_can_be_stored_again(reach: Reach, database: Database) -> None:
    course, _ = store_course(database, "One.", "Two.")
    exported = reach(Request("GET", f"/api/curriculum/{course}/export"))
    assert "attachment" in exported.headers["Content-Disposition"]
    again = reach(Request("POST", "/api/curriculum", {"Content-Type": "application/json"}), body=exported.get_json())
    assert again.status_code == 201
    assert again.get_json()["content"] == exported.get_json()["content"]
    assert again.get_json()["id"] != course


# --- Prefetches and jobs ------------------------------------------------------------------------------------------


def store_course(database: Database, *texts: str) -> tuple[str, str]:
    """The ids of a course and of its only topic."""
    with database.transaction() as session:
        topics = [NewTopic(title="Only", segments=[NewSegment(text) for text in texts])]
        course = curricula.create(session, title="C", description="", topics=topics, extra={}, account_id=None)
        return course.id, curricula.outline(session, course.id)[0][0].id


def test_a_prefetch_is_seen_and_cancelled_under_its_id(reach: Reach, database: Database, worker: Any) -> None:
    course, _ = store_course(database, *(f"A sentence that takes a while, number {n}." for n in range(40)))
    start = Request("POST", "/api/tts/prefetch/topic", {"Content-Type": "application/json"})
    accepted = reach(start, body={"curriculum_id": course})
    assert accepted.status_code == 202
    job = accepted.get_json()["job_id"]
    assert job.startswith("prefetch_")
    seen = reach(Request("GET", f"/api/tts/prefetch/{job}"))
    assert seen.status_code == 200
    assert seen.get_json()["status"] in ("pending", "in_progress")
    assert (seen.get_json()["total_segments"], seen.get_json()["curriculum_id"]) == (40, course)
    assert 0 <= seen.get_json()["progress"] < 1
    stopped = reach(Request("DELETE", f"/api/tts/prefetch/{job}"))
    assert (stopped.status_code, stopped.get_json()["status"]) == (200, "cancelled")
    assert_refused(reach(Request("DELETE", f"/api/tts/prefetch/{job}")), 409, "CONFLICT")
    # A kind with endpoints of its own is found under /api/jobs, too.
    assert reach(Request("GET", f"/api/jobs/{job}")).get_json()["state"] == "cancelled"


def test_segments_that_are_there_already_are_counted_as_cached(reach: Reach, database: Database, worker: Any) -> None:
    reach(SPEAK, body={"text": "Already here."})
    course, topic = store_course(database, "Already here.", "Not yet here.")
    start = Request("POST", "/api/tts/prefetch/topic", {"Content-Type": "application/json"})
    job = reach(start, body={"curriculum_id": course, "topic_id": topic}).get_json()
    assert (job["total_segments"], job["cached_segments"]) == (2, 1)
    status = Request("GET", f"/api/tts/prefetch/{job['job_id']}")
    done = eventually(lambda: (found := reach(status).get_json())["status"] == "completed" and found, within_seconds=20)
    assert (done["progress"], done["completed_segments"], done["failed_segments"]) == (1.0, 2, 0)
    again = reach(start, body={"curriculum_id": course}).get_json()
    assert (again["status"], again["cached_segments"]) == ("completed", 2)


@pytest.mark.parametrize("row", DECISIONS["State words shown"].rows, ids=lambda row: row["stored"])
def test_a_prefetch_shows_the_documents_word_for_each_state(
    client: FlaskClient, admin: dict[str, str], database: Database, row: dict[str, str]
) -> None:
    stored = ["failed", "cancelled"] if "/" in row["stored"] else [row["stored"].split(" ")[0]]
    words = row["prefetch"].split(" / ")
    params = {"curriculum_id": "c", "topic_id": None, "voice_id": "nova", "cached_segments": 0}
    for state, word in zip(stored, words, strict=True):
        assert state in STATES
        job = making.submit(database, items=2, kind="speech.prefetch", params=params)
        failed = 1 if row["stored"].endswith("failed items") else 0
        making.change(database, job, state=state, items_succeeded=2 - failed, items_failed=failed)
        assert client.get(f"/api/tts/prefetch/{job.id}", headers=admin).get_json()["status"] == word
        # /api/jobs shows the stored word.
        assert client.get(f"/api/jobs/{job.id}", headers=admin).get_json()["state"] == state


def test_a_job_of_another_kind_is_no_prefetch(client: FlaskClient, admin: dict[str, str], database: Database) -> None:
    job = making.submit(database)
    assert_refused(client.get(f"/api/tts/prefetch/{job.id}", headers=admin), 404, "NOT_FOUND")
    assert_refused(client.delete(f"/api/tts/prefetch/{job.id}", headers=admin), 404, "NOT_FOUND")


def test_a_page_of_jobs_has_the_promised_form(reach: Reach) -> None:
    (form,) = re.findall(r"`/api/jobs`: `(.*?)`", DECISIONS.sentence("Management lists"))
    answer = reach(Request("GET", "/api/jobs"))
    assert answer.status_code == 200
    assert set(answer.get_json()) == set(re.findall(r'"(\w+)"', form))
