"""The client of Label Studio, against a stand-in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.making import at_once
from tests.standing_in import Page, Site, standing_in
from tests.studio import LEGACY, PERSONAL, StandIn, label_studio
from workers.clients import label_studio as client
from workers.clients.label_studio import Away, LabelStudio, Project, Refused, TaskGone
from workers.errors import BadInput, RetryLater

ONE, TWO = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
PROJECT = Project("Voices", "said", "sound", "audio")


@pytest.fixture
def studio() -> Iterator[StandIn]:
    with label_studio() as running:
        yield running


def reach(studio: StandIn, key: str = LEGACY, *, timeout_seconds: float = 5.0) -> LabelStudio:
    return LabelStudio(studio.url, key, 1, timeout_seconds=timeout_seconds)


# --- Who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [LEGACY, PERSONAL])
def test_either_kind_of_token_opens_the_project(studio: StandIn, key: str) -> None:
    assert reach(studio, key).project() == PROJECT


def test_a_legacy_token_is_sent_as_it_is(studio: StandIn) -> None:
    reach(studio).project()
    assert [(each.path, each.authorization) for each in studio.asked] == [("/api/projects/1/", f"Token {LEGACY}")]


def test_a_personal_token_makes_one_bearer_for_many_requests(studio: StandIn) -> None:
    here = reach(studio, PERSONAL)
    for _ in range(3):
        here.project()
    assert studio.times("POST", "/api/token/refresh/") == 1
    assert all(PERSONAL not in each.authorization for each in studio.asked)


def test_a_bearer_that_ran_out_under_way_is_made_anew_and_the_request_goes_through(studio: StandIn) -> None:
    here = reach(studio, PERSONAL)
    (task,) = studio.add(b"sound")
    here.project()
    studio._bearers.clear()
    here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1)
    assert studio.texts(task) == ["good"]
    assert [each.status for each in studio.asked] == [200, 200, 401, 200, 201]


def test_a_bearer_is_made_anew_before_it_runs_out(studio: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TOKEN_SECONDS", -1.0)
    here = reach(studio, PERSONAL)
    for _ in range(2):
        here.project()
    assert studio.times("POST", "/api/token/refresh/") == 2


def test_threads_that_start_together_make_one_bearer(studio: StandIn) -> None:
    here = reach(studio, PERSONAL)
    studio.after_seconds = 0.05
    assert at_once(6, lambda _: here.project()) == [PROJECT] * 6
    assert studio.times("POST", "/api/token/refresh/") == 1


@pytest.mark.parametrize("key", ["wrong", "a.wrong.token", ""])
def test_a_wrong_token_is_said_so_and_is_not_tried_for_ever(studio: StandIn, key: str) -> None:
    with pytest.raises(Refused, match="LABEL_STUDIO_API_KEY") as refused:
        reach(studio, key).project()
    assert key == "" or key not in refused.value.message
    assert len(studio.asked) == 1


# --- Away, and other answers that are none ---------------------------------------------------------------------------


def test_one_that_is_away_is_asked_again_later(studio: StandIn) -> None:
    here = reach(studio)
    studio.go_away()
    with pytest.raises(Away, match="is away"):
        here.project()
    studio.come_back()
    assert here.project() == PROJECT


def test_one_that_answers_too_late_is_asked_again_later(studio: StandIn) -> None:
    studio.after_seconds = 1.0
    with pytest.raises(RetryLater, match="is away"):
        reach(studio, timeout_seconds=0.2).project()


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_one_that_fails_is_asked_again_later(studio: StandIn, status: int) -> None:
    studio.status = status
    with pytest.raises(RetryLater, match=str(status)):
        reach(studio).project()


@pytest.mark.parametrize("page", [b"<html>We are back soon.</html>", b"[]", b"{}", b"null"])
def test_a_page_of_somebody_before_it_is_no_answer(studio: StandIn, page: bytes) -> None:
    studio.page = page
    here = reach(studio)
    for ask in (
        lambda: list(here.tasks()),
        lambda: here.annotate(PROJECT, 1, "text", unique_id=ONE, worked_seconds=1),
        here.project,
    ):
        with pytest.raises(RetryLater, match="not Label Studio"):
            ask()


def test_a_project_that_is_not_there_is_said_so(studio: StandIn) -> None:
    with pytest.raises(BadInput, match="does not have api/projects/7/"):
        LabelStudio(studio.url, LEGACY, 7).project()


# --- The project -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        "",
        "<View>",
        "<View/>",
        '<View><Audio name="a" value="$x"/></View>',
        '<View><Text name="a" value="$x"/><TextArea name="b" toName="a"/></View>',
        '<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>',
    ],
)
def test_a_project_where_texts_have_no_place_is_said_so(studio: StandIn, config: str) -> None:
    studio.config = config
    with pytest.raises(BadInput) as told:
        reach(studio).project()
    assert told.value.code == "bad_project"


def test_the_names_of_controls_are_the_projects_own(studio: StandIn) -> None:
    studio.config = """<View><Choices name="mood" toName="clip"><Choice value="x"/></Choices>
        <AudioPlus name="clip" value="$url"/><TextArea name="note" toName="other"/>
        <TextArea name="words" toName="clip"/></View>"""
    assert reach(studio).project() == Project("Voices", "words", "clip", "url")


# --- Tasks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8])
def test_all_pages_are_read_the_newest_task_first(studio: StandIn, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 4)
    made = studio.add(*[b"sound"] * count, draft="as heard", language="de")
    found = list(reach(studio).tasks())
    assert [task.id for task in found] == sorted(made, reverse=True)
    assert all(task.draft == "as heard" and task.data["language"] == "de" and not task.labeled for task in found)


def test_only_newer_tasks_are_read_and_no_page_too_many(studio: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_TASKS", 4)
    made = studio.add(*[b"sound"] * 9)
    assert [task.id for task in reach(studio).tasks(newer_than=made[6])] == [made[8], made[7]]
    assert studio.times("GET", "/api/tasks/") == 1


@pytest.mark.parametrize(
    ("result", "draft"),
    [
        ([{"value": {"text": ["one", "two"]}}], "one two"),
        ([{"value": {"text": "one"}}], "one"),
        ([{"value": {"choices": ["x"]}}, {"value": {"text": ["one"]}}], "one"),
        ([{"value": {"text": [1, None]}}], "1 None"),
        ([{"value": {"text": []}}, {"value": None}, None, "text"], None),
        ({"value": 1}, None),
        ("text", None),
        (None, None),
    ],
)
def test_whatever_lies_beside_a_task_as_a_prediction_is_a_draft_or_is_not(
    studio: StandIn, result: object, draft: str | None
) -> None:
    (task,) = studio.add(b"sound")
    studio.tasks[task]["predictions"] = [{"result": result}]
    assert [each.draft for each in reach(studio).tasks()] == [draft]


def test_whether_a_task_is_still_there_can_be_asked(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    here = reach(studio)
    assert here.has(task)
    studio.forget(task)
    assert not here.has(task)
    studio.status = 500
    with pytest.raises(RetryLater):
        here.has(task)


# --- Texts -----------------------------------------------------------------------------------------------------------


def test_a_text_is_written_once_however_often_it_is_sent(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    here = reach(studio)
    numbers = [here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1.234) for _ in range(3)]
    (made,) = studio.annotations[task]
    assert numbers == [made["id"]] * 3
    part = {"id": ONE, "from_name": "said", "to_name": "sound", "type": "textarea", "value": {"text": ["good"]}}
    assert (made["result"], made["lead_time"], made["unique_id"]) == ([part], 1.23, ONE)


def test_sent_from_several_at_once_it_is_written_once(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    here = reach(studio)
    numbers = at_once(6, lambda _: here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1))
    assert len(set(numbers)) == 1
    assert studio.texts(task) == ["good"]


def test_one_that_breaks_after_having_written_tells_its_number_the_next_time(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    here = reach(studio)
    studio.breaks_after_writing = 1
    with pytest.raises(Away):
        here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1)
    number = here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1)
    assert [each["id"] for each in studio.annotations[task]] == [number]


def test_two_texts_of_one_task_are_two(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    here = reach(studio)
    one, two = (here.annotate(PROJECT, task, each, unique_id=each, worked_seconds=1) for each in (ONE, TWO))
    assert one != two
    assert (here.annotation(task, ONE), here.annotation(task, TWO), here.annotation(task, "3")) == (one, two, None)


def test_a_task_that_is_gone_takes_no_text(studio: StandIn) -> None:
    (task,) = studio.add(b"sound")
    studio.forget(task)
    here = reach(studio)
    with pytest.raises(TaskGone, match=f"Task {task} was removed"):
        here.annotate(PROJECT, task, "good", unique_id=ONE, worked_seconds=1)
    with pytest.raises(TaskGone):
        here.annotation(task, ONE)


# --- Sound -----------------------------------------------------------------------------------------------------------


def fetched(here: LabelStudio, address: str, folder: Path, *, most_bytes: int = 1 << 20) -> bytes:
    here.fetch(address, folder / "sound", most_bytes=most_bytes)
    return (folder / "sound").read_bytes()


@pytest.mark.parametrize("key", [LEGACY, PERSONAL])
def test_sound_is_fetched_with_the_credential(studio: StandIn, key: str, tmp_path: Path) -> None:
    (task,) = studio.add(b"sound" * 1000)
    address = studio.tasks[task]["data"]["audio"]
    assert fetched(reach(studio, key), address, tmp_path) == b"sound" * 1000
    assert fetched(reach(studio, key), studio.url + address, tmp_path) == b"sound" * 1000


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/data/upload/1/a.wav",
        "//127.0.0.1:1/a.wav",
        "s3://bucket/a.wav",
        "file:///etc/passwd",
        "http://[",
        "data:audio/wav;base64,AAAA",
    ],
)
def test_sound_that_lies_elsewhere_is_not_asked_for(studio: StandIn, address: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as told:
        fetched(reach(studio), address, tmp_path)
    assert told.value.code == "sound_elsewhere"
    assert studio.asked == []


def test_names_that_only_look_like_label_studios_are_others(studio: StandIn, tmp_path: Path) -> None:
    with standing_in() as other:
        for address in (
            f"{studio.url}@127.0.0.1:{other.port}/a.wav",
            f"http://127.0.0.1:{studio.port}\\@127.0.0.1:{other.port}/a.wav",
            f"http://user@127.0.0.1:{studio.port}/a.wav",
        ):
            with pytest.raises(BadInput):
                fetched(reach(studio), address, tmp_path)
        assert (other.asked, studio.asked) == ([], [])


@pytest.mark.parametrize("key", [LEGACY, PERSONAL])
def test_no_redirect_is_followed_with_the_credential(studio: StandIn, key: str, tmp_path: Path) -> None:
    with standing_in() as other:
        other.pages["/a.wav"] = Page(b"sound")
        studio.redirects["/data/a.wav"] = f"{other.url}/a.wav"
        with pytest.raises(BadInput, match="sends elsewhere") as told:
            fetched(reach(studio, key), "/data/a.wav", tmp_path)
        assert told.value.code == "sound_elsewhere"
        assert other.asked == []


def test_a_redirect_of_the_api_takes_no_token_with_it(studio: StandIn) -> None:
    with Closing() as other:
        for path in ("/api/token/refresh/", "/api/projects/1/"):
            studio.redirects = {path: f"{other.url}{path}"}
            with pytest.raises(RetryLater, match="307"):
                reach(studio, PERSONAL).project()
        assert other.asked == []


class Closing(Site):
    """A site in a block of its own, which counts what is posted, too."""

    def __enter__(self) -> Closing:
        handler = self._server.RequestHandlerClass
        handler.do_POST = handler.do_GET  # type: ignore[attr-defined]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_sound_that_is_not_there_or_too_large_is_said_so(studio: StandIn, tmp_path: Path) -> None:
    studio.media["/data/large.wav"] = b"x" * ((2 << 20) + 1)
    with pytest.raises(BadInput, match="larger than 2 MiB") as told:
        fetched(reach(studio), "/data/large.wav", tmp_path, most_bytes=2 << 20)
    assert told.value.code == "file_too_large"
    assert (tmp_path / "sound").stat().st_size <= 2 << 20
    with pytest.raises(BadInput) as told:
        fetched(reach(studio), "/data/none.wav", tmp_path)
    assert told.value.code == "not_found_there"


def test_sound_is_not_broken_because_our_key_is(studio: StandIn, tmp_path: Path) -> None:
    (task,) = studio.add(b"sound")
    with pytest.raises(Refused):
        fetched(reach(studio, "wrong"), studio.tasks[task]["data"]["audio"], tmp_path)


def test_sound_that_breaks_off_is_fetched_again_later(studio: StandIn, tmp_path: Path) -> None:
    with standing_in() as site:
        reached = threading.Event()
        # It promises more than it sends.
        site.pages["/data/a.wav"] = Page(b"short", length=1000, gate=reached.set)
        with pytest.raises(RetryLater):
            fetched(LabelStudio(site.url, LEGACY, 1, timeout_seconds=2), "/data/a.wav", tmp_path)
        eventually(reached.is_set)
