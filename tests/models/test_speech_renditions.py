"""Renditions: one file for each form, never one in another's place; which of them is the clip itself."""

from __future__ import annotations

from itertools import combinations

import pytest
from sqlalchemy import func, select

from models import speech_clips, speech_eviction, speech_renditions
from models.db import Database
from models.speech_clips import SpeechClip
from models.speech_renditions import Form, MadeFile, SpeechRendition
from tests import making

FORMS = [
    Form("wav"),
    Form("flac"),
    Form("wav", 16000),
    Form("wav", channels=2),
    Form("wav", loudness_lufs=-16.0),
    Form("wav", loudness_lufs=-16.5),
    Form("wav", 16000, 2, -16.0),
    Form("pcm"),
]


def files(*forms: Form, size: int = 100) -> list[MadeFile]:
    """A file for each form, named after it."""
    return [MadeFile(form, str(form), size) for form in forms]


def stored(database: Database) -> set[str]:
    with database.transaction() as session:
        return set(session.scalars(select(SpeechRendition.file)))


def test_every_form_is_found_as_itself(database: Database) -> None:
    key = making.make_clip(database, making.spec(), *files(*FORMS))
    with database.transaction() as session:
        for form in FORMS:
            found = speech_renditions.find(session, key, form)
            assert found is not None
            assert (found.form, found.file) == (form, str(form))


@pytest.mark.parametrize(("there", "asked"), list(combinations(FORMS, 2)))
def test_no_form_is_taken_for_another(database: Database, there: Form, asked: Form) -> None:
    key = making.make_clip(database, making.spec(), *files(there))
    with database.transaction() as session:
        assert speech_renditions.find(session, key, there)
        assert speech_renditions.find(session, key, asked) is None


def test_the_first_file_of_a_form_stays(database: Database) -> None:
    key = making.make_clip(database, making.spec(), *files(Form("wav", 16000)))
    with database.transaction() as session:
        speech_renditions.add(session, key, MadeFile(Form("wav", 16000), "another", 999))
    assert stored(database) == {str(Form("wav", 16000))}


def test_a_clip_is_counted_once_however_many_forms_it_has(database: Database) -> None:
    making.make_clip(database, making.spec("a"), *files(*FORMS))
    making.make_clip(database, making.spec("b"), *files(Form("wav")))
    with database.transaction() as session:
        assert speech_renditions.figures(session) == (2, 100 * (len(FORMS) + 1))


def test_files_that_a_row_points_to_are_known(database: Database) -> None:
    making.make_clip(database, making.spec(), *files(Form("wav"), Form("flac")))
    with database.transaction() as session:
        asked = [str(Form("wav")), str(Form("flac")), "stray"]
        assert speech_renditions.known_files(session, asked) == set(asked[:2])
        assert speech_renditions.known_files(session, []) == set()


def test_what_was_made_from_a_clip_goes_before_any_clip(database: Database) -> None:
    making.make_clip(database, making.spec("a"), *files(*FORMS))
    with database.transaction() as session:
        assert speech_eviction.evict(session, max_bytes=130).size_bytes == 100 * (len(FORMS) - 1)
        assert session.scalar(select(func.count()).select_from(SpeechClip)) == 1
    assert stored(database) == {str(Form("wav"))}


def test_emptying_leaves_pinned_clips_and_those_that_are_being_made(database: Database) -> None:
    making.make_clip(database, making.spec("gone"), *files(Form("wav"), Form("flac")))
    pinned = making.make_clip(database, making.spec("pinned"), *files(Form("wav", 16000)))
    making.pin(database, pinned)
    with database.transaction() as session:
        token = speech_clips.claim(session, making.spec("making"), node="a", lease_seconds=60)
        assert token
    with database.transaction() as session:
        assert speech_eviction.empty(session) == (1, 200)
    with database.transaction() as session:
        left = {clip.key: clip.state for clip in session.scalars(select(SpeechClip))}
        assert left == {pinned: "ready", making.spec("making").key: "making"}
        making.store_clip(session, making.spec("making").key, token, *files(Form("wav")))
        assert speech_renditions.find(session, making.spec("making").key, Form("wav"))
    with database.transaction() as session:
        assert speech_eviction.empty(session) == (1, 100)
