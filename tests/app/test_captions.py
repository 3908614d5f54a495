"""Captions: every form parses, times ascend to the end of the clip, and nobody needs to read fast."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from app import captions
from app.captions import Word
from models import curricula
from models.curricula import NewSegment, NewTopic
from models.db import Database

LONG = " ".join(f"This is sentence number {number}, which is of some length." for number in range(8))


@dataclass(frozen=True)
class Shown:
    """A cue as a player reads it."""

    start: float
    end: float
    text: str


def parse_srt(content: str) -> list[Shown]:
    """The cues of a SubRip file; fails on whatever is no such file."""
    found = []
    for number, block in enumerate(content.strip().split("\n\n"), 1):
        head, times, *lines = block.split("\n")
        assert head == str(number)
        assert 1 <= len(lines) <= 2
        found.append(Shown(*seconds(times, ","), " ".join(lines)))
    return found


def parse_vtt(content: str) -> tuple[list[Shown], list[str]]:
    """The cues and the notes of a WebVTT file; fails on whatever is no such file."""
    signature, *blocks = content.strip().split("\n\n")
    assert signature == "WEBVTT"
    notes = [block.removeprefix("NOTE ") for block in blocks if block.startswith("NOTE ")]
    found = []
    for block in blocks[len(notes) :]:
        times, *lines = block.split("\n")
        assert 1 <= len(lines) <= 2
        assert not any("<" in line or "-->" in line or re.search(r"&(?!\w+;)", line) for line in lines)
        found.append(Shown(*seconds(times, "."), html.unescape(" ".join(lines))))
    return found, notes


def seconds(times: str, mark: str) -> tuple[float, float]:
    """The two times of a cue."""
    clock = rf"(\d\d+):([0-5]\d):([0-5]\d){re.escape(mark)}(\d\d\d)"
    found = re.fullmatch(f"{clock} --> {clock}", times)
    assert found, times
    numbers = [int(group) for group in found.groups()]
    one, other = (
        round(hours * 3600 + minutes * 60 + whole + thousandths / 1000, 3)
        for hours, minutes, whole, thousandths in (numbers[:4], numbers[4:])
    )
    return one, other


def check_cues(cues: Sequence[Shown], duration_seconds: float) -> None:
    """Times ascend within the clip to its end, and each cue can be read."""
    assert cues[0].start >= 0
    assert cues[-1].end == pytest.approx(duration_seconds, abs=0.05)
    for cue in cues:
        assert cue.start < cue.end <= cue.start + captions.CUE_SECONDS + 0.001
        assert 0 < len(cue.text) <= captions.CUE_CHARACTERS
    for one, following in pairwise(cues):
        assert one.end <= following.start


# --- Of a clip -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spoken:
    """A clip that was spoken, and who asks for its captions."""

    http: FlaskClient
    headers: dict[str, str]
    path: str
    duration_seconds: float

    def captions(self, name: str) -> Any:
        """The answer in this form."""
        return self.http.get(f"{self.path}/captions?format={name}", headers=self.headers)


def speak(http: FlaskClient, headers: dict[str, str], text: str, **fields: Any) -> Spoken:
    answer = http.post("/api/tts", json={"text": text} | fields, headers=headers)
    assert answer.status_code == 200, answer.text
    path = answer.headers["Content-Location"].partition(".")[0]
    return Spoken(http, headers, path, float(answer.headers["X-TTS-Duration-Seconds"]))


@pytest.fixture
def clip(client: FlaskClient, worker: object, customer: dict[str, str]) -> Spoken:
    """A clip of half a minute."""
    return speak(client, customer, LONG)


def test_srt_parses_and_its_times_are_the_clip_s(clip: Spoken) -> None:
    answer = clip.captions("srt")
    assert answer.content_type.partition(";")[0] == "application/x-subrip"
    cues = parse_srt(answer.text)
    check_cues(cues, clip.duration_seconds)
    assert " ".join(cue.text for cue in cues) == LONG
    # A sentence that can be read at once is not cut.
    assert [cue.text for cue in cues] == re.findall(r"This .*?\.", LONG)


def test_vtt_parses_and_its_times_are_the_clip_s(clip: Spoken) -> None:
    answer = clip.captions("vtt")
    assert answer.content_type.partition(";")[0] == "text/vtt"
    cues, notes = parse_vtt(answer.text)
    check_cues(cues, clip.duration_seconds)
    assert len(notes) == (answer.headers["X-Word-Times"] == "estimated")
    assert cues == parse_srt(clip.captions("srt").text)


def test_json_has_cues_and_words_in_seconds(clip: Spoken) -> None:
    answer = clip.captions("json")
    body = answer.get_json()
    assert body["duration_seconds"] == pytest.approx(clip.duration_seconds, abs=0.001)
    assert body["word_times"] == answer.headers["X-Word-Times"]
    assert [Shown(cue["start"], cue["end"], cue["text"]) for cue in body["cues"]] == parse_srt(
        clip.captions("srt").text
    )
    words = body["words"]
    assert [word["word"] for word in words] == LONG.split()
    assert all(word["start"] < word["end"] for word in words)
    assert all(one["end"] <= following["start"] for one, following in pairwise(words))
    assert words[-1]["end"] == pytest.approx(clip.duration_seconds, abs=0.05)


def test_an_engine_without_times_of_words_says_that_they_are_estimated(clip: Spoken) -> None:
    assert clip.captions("vtt").headers["X-Word-Times"] == "estimated"
    assert "estimated" in parse_vtt(clip.captions("vtt").text)[1][0]


def test_vtt_is_what_comes_when_no_form_is_named(clip: Spoken) -> None:
    assert clip.http.get(f"{clip.path}/captions", headers=clip.headers).text == clip.captions("vtt").text


def test_what_looks_like_markup_cannot_be_taken_for_it(
    client: FlaskClient, worker: object, customer: dict[str, str]
) -> None:
    spoken = speak(client, customer, "Is 1 < 2 & 3 > 2? Yes --> it is.")
    cues, _ = parse_vtt(spoken.captions("vtt").text)
    shown = " ".join(cue.text for cue in cues)
    assert "1 < 2 & 3 > 2?" in shown


def test_the_speed_of_the_clip_is_the_speed_of_its_captions(
    client: FlaskClient, worker: object, customer: dict[str, str]
) -> None:
    for speed in (0.5, 3.0):
        spoken = speak(client, customer, "Said at another speed. Twice.", speed=speed)
        check_cues(parse_srt(spoken.captions("srt").text), spoken.duration_seconds)


@pytest.mark.parametrize(("path", "status"), [("unknown", 404), ("a%00b", 404), ("x" * 5000, 404)])
def test_a_clip_that_is_not_there_has_no_captions(
    client: FlaskClient, customer: dict[str, str], path: str, status: int
) -> None:
    assert client.get(f"/api/speech/{path}/captions", headers=customer).status_code == status


# --- Of a topic ------------------------------------------------------------------------------------------------------


def course(database: Database, *texts: str) -> str:
    """The address of the captions of a topic with these segments."""
    with database.transaction() as session:
        topics = [NewTopic(title="Only", segments=[NewSegment(text) for text in texts])]
        stored = curricula.create(session, title="C", description="", topics=topics, extra={}, account_id=None)
        return f"/api/curriculum/{stored.id}/topics/{curricula.outline(session, stored.id)[0][0].id}/captions"


def test_a_topic_s_captions_are_its_segments_one_after_the_other(
    client: FlaskClient, worker: object, customer: dict[str, str], database: Database
) -> None:
    texts = ("The first segment.", "The second one. It has two sentences.", "The first segment.")
    clips = [speak(client, customer, text) for text in texts]
    path = course(database, *texts)
    topic = client.get(f"{path}?format=json", headers=customer).get_json()
    begins, wanted = 0.0, []
    for clip in clips:
        own = clip.captions("json").get_json()
        wanted += [(word["word"], word["start"] + begins, word["end"] + begins) for word in own["words"]]
        begins += clip.duration_seconds
    assert topic["duration_seconds"] == pytest.approx(begins, abs=0.005)
    assert [word["word"] for word in topic["words"]] == [word for word, _, _ in wanted]
    for word, (_, start, end) in zip(topic["words"], wanted, strict=True):
        assert (word["start"], word["end"]) == pytest.approx((start, end), abs=0.005)
    check_cues(parse_srt(client.get(f"{path}?format=srt", headers=customer).text), begins)


def test_a_topic_that_is_not_all_spoken_names_what_is_missing(
    client: FlaskClient, worker: object, customer: dict[str, str], database: Database
) -> None:
    speak(client, customer, "Spoken already.")
    path = course(database, "Spoken already.", "Not spoken.", "Not this one either.")
    answer = client.get(path, headers=customer)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "CONFLICT")
    with database.transaction() as session:
        segments = curricula.segments(session, path.split("/")[3], path.split("/")[5])
    assert answer.get_json()["details"]["missing_segments"] == [segment.id for segment in segments[1:]]
    assert "2 of 3" in answer.get_json()["error"]


def test_a_segment_in_which_nothing_can_be_said_keeps_nobody_from_the_rest(
    client: FlaskClient, worker: object, customer: dict[str, str], database: Database
) -> None:
    speak(client, customer, "Before.")
    speak(client, customer, "After.")
    answer = client.get(f"{course(database, 'Before.', '🙂', 'After.')}?format=json", headers=customer)
    assert [word["word"] for word in answer.get_json()["words"]] == ["Before.", "After."]


def test_a_topic_spoken_otherwise_has_captions_of_its_own(
    client: FlaskClient, worker: object, customer: dict[str, str], database: Database
) -> None:
    quick = speak(client, customer, "Quickly.", speed=2.0)
    path = course(database, "Quickly.")
    assert client.get(path, headers=customer).status_code == 409
    answer = client.get(f"{path}?format=json&speed=2", headers=customer)
    assert answer.get_json()["duration_seconds"] == pytest.approx(quick.duration_seconds, abs=0.002)


# --- Words and cues --------------------------------------------------------------------------------------------------


def test_the_words_of_an_engine_keep_their_times_and_are_shown_as_they_were_written() -> None:
    timing = [{"text": "Hello, World!", "start": 0.0, "end": 1.0, "words": [["hello", 0.1, 0.4], ["world", 0.5, 0.9]]}]
    assert captions.words_of(timing) == ([Word("Hello,", 0.1, 0.4), Word("World!", 0.5, 0.9)], False)


def test_where_an_engine_said_other_words_than_were_written_they_are_estimated() -> None:
    passage = {"text": "It costs $5.", "start": 1.0, "end": 3.0, "words": [["it", 1, 2], ["costs", 2, 2.5]]}
    words, estimated = captions.words_of([passage])
    assert estimated
    assert [word.text for word in words] == ["It", "costs", "$5."]
    assert (words[0].start_seconds, words[-1].end_seconds) == (1.0, 3.0)


def test_nothing_said_is_nothing_shown() -> None:
    assert captions.srt([]) == ""
    assert parse_vtt(captions.vtt([], estimated=False)) == ([], [])
    assert captions.as_json([], estimated=False, duration_seconds=0.0)["cues"] == []


def test_times_beyond_an_hour_and_rounded_up_to_a_second_are_clocks() -> None:
    (cue,) = parse_srt(captions.srt([Word("Late.", 3599.9996, 3661.5)]))
    assert (cue.start, cue.end) == (3600.0, 3661.5)


@given(
    st.lists(
        st.tuples(st.text("abc<>&.!?-'", min_size=1, max_size=30), st.floats(0.01, 3), st.floats(0, 2)), max_size=60
    )
)
def test_whatever_is_said_its_cues_hold_every_word_once_and_in_time(said: list[tuple[str, float, float]]) -> None:
    words, at = [], 0.0
    for text, lasts, pause in said:
        words.append(Word(text, round(at, 3), round(at + lasts, 3)))
        at += lasts + pause
    made = captions.cues(words)
    assert [word for cue in made for word in cue.words] == words
    shown, _ = parse_vtt(captions.vtt(words, estimated=True))
    assert [cue.text for cue in shown] == [cue.text for cue in made]
    for cue in shown:
        assert len(cue.text) <= captions.CUE_CHARACTERS
        assert cue.end - cue.start <= captions.CUE_SECONDS + 0.002
    assert all(one.end <= following.start for one, following in pairwise(shown))
