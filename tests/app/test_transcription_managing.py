"""Running transcription: people, money, what two do not agree in, and the results in others' formats."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest
import soundfile
from flask.testing import FlaskClient

from models.db import Database
from models.files import FileStore
from tasks import judging
from tests import transcribing
from tests.transcribing import add, task_of

ANN, BOB = 1, 2
ODD = "Zwei, drei – vier --> <b>fünf</b> &c."


@pytest.fixture
def store(client: FlaskClient) -> FileStore:
    """Where files are kept."""
    found: FileStore = client.application.extensions["voiceworks"].files
    return found


class Manager:
    """A manager's client."""

    def __init__(self, client: FlaskClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers

    def get(self, path: str, status: int = 200) -> Any:
        """What is at a path."""
        answer = self._client.get(f"/api/transcription/{path}", headers=self._headers)
        assert answer.status_code == status, answer.text
        return answer.get_json() if answer.is_json else answer.data

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """What is answered."""
        answer = self._client.post(f"/api/transcription/{path}", json=body, headers=self._headers)
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def transcribe(self, database: Database, task_id: int, agent_id: int, text: str) -> None:
        """One agent's text."""
        assert task_of(database, agent_id) == task_id
        self.hand_in(task_id, agent_id, text)

    def hand_in(self, task_id: int, agent_id: int, text: str) -> None:
        """A text of a task that is in the agent's hands."""
        body = {"agent_id": agent_id, "transcription": text}
        answer = self._client.post(f"/api/tasks/{task_id}/submit", json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text


@pytest.fixture
def manager(client: FlaskClient, admin: dict[str, str]) -> Manager:
    """A manager."""
    return Manager(client, admin)


@pytest.fixture
def judge(database: Database) -> Any:
    """Looks at what came, as a worker does."""
    return lambda: judging.judge(database)


def test_people_are_paused_given_bonuses_and_paid(manager: Manager, database: Database) -> None:
    first, _ = add(database, count=2, seconds=100)
    manager.transcribe(database, first, ANN, "a text")
    (shown,) = manager.get("agents")["agents"]
    assert (shown["agent_id"], shown["balance"], shown["paused"], shown["accuracy"]) == (ANN, 5.0, None, None)
    assert shown["real_time_factor"] >= 0
    manager.post(f"agents/{ANN}/pause", {"reason": "to be spoken to"})
    assert task_of(database, ANN) is None
    manager.post(f"agents/{ANN}/resume")
    assert task_of(database, ANN) is not None
    assert manager.post(f"agents/{ANN}/bonus", {"amount": 1.25, "note": "fast"}, 201)["amount"] == 1.25
    assert "10.0000" in manager.post(f"agents/{ANN}/payout", {"amount": 10}, 409)["detail"]
    assert manager.post(f"agents/{ANN}/payout", {"note": "bank"}, 201)["amount"] == -6.25
    manager.post(f"agents/{ANN}/payout", {}, 409)
    (line,) = manager.get("statements")["statements"]
    assert line == {
        "agent_id": ANN,
        "tasks": 1,
        "duration_seconds": 100.0,
        "earned": 5.0,
        "bonus": 1.25,
        "paid_out": 6.25,
        "balance": 0.0,
    }
    (row,) = csv.DictReader(io.StringIO(manager.get("statements?format=csv").decode()))
    assert {name: float(value) for name, value in row.items()} == {name: float(value) for name, value in line.items()}
    assert manager.get("statements?since=2100-01-01T00:00:00Z", 400)
    assert manager.get("statements?until=2001-01-01T00:00:00Z")["statements"] == []
    for amount in ("much", True, 0.00001, 1e9, 1e25, "1e400", 0, "１２", None):
        body = {} if amount is None else {"amount": amount}
        assert "amount" in manager.post(f"agents/{ANN}/bonus", body, 400)["detail"]
    manager.post("agents/424242/bonus", {"amount": 1}, 404)
    manager.post("agents/424242/payout", {}, 404)
    manager.post("agents/424242/pause", {"reason": "nobody"}, 404)


def test_known_tasks_tell_how_well_somebody_hears(manager: Manager, database: Database, judge: Any) -> None:
    (gold,) = add(database, gold_text="the quick brown fox")
    mixing = transcribing.Choice(source="built_in", gold_share=100)
    assert transcribing.given(database, ANN, mixing, draw=0.0)
    manager.hand_in(gold, ANN, "The quick, brown cat!")
    judge()
    (shown,) = manager.get("agents")["agents"]
    assert (shown["known_tasks"], shown["accuracy"]) == (1, 0.75)
    # They are for judging, and no results.
    assert manager.get("export") == []


def test_what_two_do_not_agree_in_is_decided(manager: Manager, database: Database, judge: Any) -> None:
    first, second = add(database, count=2, double_percent=100)
    for agent, texts in ((ANN, ("Four candles.", "fork handles")), (BOB, ("four candles", "four candles"))):
        for task_id, text in zip((first, second), texts, strict=True):
            manager.transcribe(database, task_id, agent, text)
    judge()
    (open_one,) = manager.get("review")["tasks"]
    assert (open_one["id"], open_one["word_difference"]) == (second, 1.0)
    assert 0 < open_one["character_difference"] < 1
    assert [each["transcription"] for each in open_one["annotations"]] == ["fork handles", "four candles"]
    # The same but for capitals and points: the first is taken.
    assert [(each["task_id"], each["text"]) for each in manager.get("export")] == [(first, "Four candles.")]
    for wrong in ({}, {"transcription": "a", "annotation_id": 1}, {"transcription": " "}):
        manager.post(f"tasks/{second}/decide", wrong, 400)
    manager.post(f"tasks/{second}/decide", {"annotation_id": 424242}, 404)
    chosen = open_one["annotations"][0]["annotation_id"]
    assert manager.post(f"tasks/{second}/decide", {"annotation_id": chosen})["final_text"] == "fork handles"
    assert manager.get("review")["tasks"] == []
    assert [each["text"] for each in manager.get("export")] == ["Four candles.", "fork handles"]
    (undone,) = add(database)
    assert "open" in manager.post(f"tasks/{undone}/decide", {"transcription": "x"}, 409)["detail"]


def test_results_in_the_formats_of_others(manager: Manager, database: Database, store: FileStore) -> None:
    first, second = add(database, store, count=2, seconds=2.0, language="en")
    manager.transcribe(database, first, ANN, '=HYPERLINK("x")\nand a second line')
    manager.transcribe(database, second, ANN, ODD)
    whole = manager.get("export?format=json")
    assert [each["text"] for each in whole] == [
        '=HYPERLINK("x")\nand a second line',
        ODD,
    ]
    assert whole[0]["annotations"][0]["agent_id"] == ANN
    rows = list(csv.DictReader(io.StringIO(manager.get("export?format=csv").decode())))
    assert [int(row["task_id"]) for row in rows] == [first, second]
    assert rows[0]["text"].startswith("'=HYPERLINK")
    kaldi = zipfile.ZipFile(io.BytesIO(manager.get("export?format=kaldi")))
    lists = {name: kaldi.read(name).decode().splitlines() for name in ("wav.scp", "text", "utt2spk", "utt2dur")}
    names = [f"task{each:09d}" for each in (first, second)]
    assert lists["text"] == [
        f'{names[0]} =HYPERLINK("x") and a second line',
        f"{names[1]} {ODD}",
    ]
    assert lists["utt2dur"] == [f"{name} 2.00" for name in names]
    for line in lists["wav.scp"]:
        sound, rate = soundfile.read(io.BytesIO(kaldi.read(line.split()[1])))
        assert len(sound) / rate == 2.0
    folder = zipfile.ZipFile(io.BytesIO(manager.get("export?format=audiofolder")))
    table = list(csv.DictReader(io.StringIO(folder.read("metadata.csv").decode())))
    assert {row["file_name"] for row in table} <= set(folder.namelist())
    assert [row["transcription"] for row in table] == [each["text"] for each in whole]
    captions = zipfile.ZipFile(io.BytesIO(manager.get("export?format=webvtt")))
    assert captions.read(f"{second}.vtt").decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nZwei, drei – vier --&gt; &lt;b&gt;fünf&lt;/b&gt; &amp;c.\n"
    )
    assert "'docx'" in manager.get("export?format=docx", 400)["detail"]


def test_a_task_is_shown_with_its_history(manager: Manager, database: Database) -> None:
    (only,) = add(database)
    manager.transcribe(database, only, ANN, "a text")
    shown = manager.get(f"tasks/{only}")
    (own,) = shown["assignments"]
    assert (shown["state"], own["agent_id"], own["state"], own["transcription"]) == ("done", ANN, "accepted", "a text")
    listed = manager.get("tasks?state=done")
    assert ([each["id"] for each in listed["tasks"]], listed["total"]) == ([only], 1)
    assert manager.get("tasks?state=lost", 400)
    assert manager.get("tasks/424242", 404)
    manager.post(f"tasks/{only}/unpark", None, 409)


def test_what_came_too_late_is_there_for_its_agent_and_for_managers(
    client: FlaskClient, manager: Manager, database: Database, admin: dict[str, str]
) -> None:
    (only,) = add(database)
    task_of(database, ANN)
    transcribing.age(database, ANN, hours=2)
    assert task_of(database, BOB) is None
    from models.transcription import assigning

    with database.transaction() as session:
        assigning.expire(session)
    assert task_of(database, BOB) == only
    answer = client.post(
        f"/api/tasks/{only}/submit", json={"agent_id": ANN, "transcription": "too late"}, headers=admin
    )
    assert answer.status_code == 400
    path = answer.get_json()["detail"].rpartition("GET ")[2]
    assert client.get(path, headers=admin).get_json()["transcription"] == "too late"
    manager.transcribe(database, only, BOB, "in time")
    answer = client.post(
        f"/api/tasks/{only}/submit", json={"agent_id": ANN, "transcription": "later still"}, headers=admin
    )
    assert (answer.status_code, json.loads(answer.text)["detail"][:13]) == (409, "Another agent")
