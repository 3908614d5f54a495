"""Clips: their key, their one maker, and how they are found."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta

import pytest
from sqlalchemy import func, update

from config.versions import TEXT_RULES
from models import speech_clips, speech_renditions
from models.base import utc_now
from models.db import Database
from models.errors import LeaseLost
from models.speech_clips import ClipSpec, SpeechClip
from models.speech_renditions import Form, Found, MadeFile, SpeechRendition
from tests import making
from tests.conftest import eventually

# The key of one clip under each number of the text rules. A key that changes without a new number would leave stale
# speech in every cache; one that changes at all makes every cache anew.
GOLDEN_KEYS = {
    1: "a938d601c67ef27de90c34687a9fb075df79fbe91ec9038c487b49ee95b71e63",
    2: "c8e671e869887382206377b4690b3090ca08a773a8d911444d0896eabf8842b2",
}


def claim(database: Database, wanted: ClipSpec, *, node: str = "a", seconds: float = 60) -> str | None:
    with database.transaction() as session:
        return speech_clips.claim(session, wanted, node=node, lease_seconds=seconds)


def made(database: Database, wanted: ClipSpec, token: str, *files: MadeFile) -> bool:
    with database.transaction() as session:
        return making.store_clip(session, wanted.key, token, *files)


def read(database: Database, key: str) -> SpeechClip | None:
    with database.transaction() as session:
        return session.get(SpeechClip, key)


def find(database: Database, key: str, form: str = "wav") -> Found | None:
    with database.transaction() as session:
        return speech_renditions.find(session, key, Form(form))


# --- The key ---------------------------------------------------------------------------------------------------------


def test_the_key_of_a_clip_has_not_changed_without_a_new_number_of_the_text_rules() -> None:
    wanted = ClipSpec("Good  morning,\nDr. Nováková – 3.5 “units”.", "hibari", "heart", "0.2.1/1", 1.25, {"seed": 7})
    assert wanted.key == GOLDEN_KEYS.get(TEXT_RULES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Caf\u00e9", "Cafe\u0301"),
        ("a b", "a  \t b"),
        ("a b", "a\u00a0b"),
        ("a b", "  a b \n"),
        ("\u212bngstrom", "\u00c5ngstrom"),
    ],
)
def test_texts_that_sound_the_same_have_one_key(one: str, other: str) -> None:
    assert making.spec(one).key == making.spec(other).key


@pytest.mark.parametrize(
    ("one", "other"), [("a b", "a\nb"), ("a\nb", "a\n\nb"), ("a b", "ab"), ("A", "a"), ("a.", "a"), ("①", "1")]
)
def test_texts_that_may_sound_different_have_two(one: str, other: str) -> None:
    assert making.spec(one).key != making.spec(other).key


def test_speed_counts_to_two_decimals() -> None:
    assert making.spec(speed=1.0).key == making.spec(speed=1.004).key == making.spec(speed=1).key
    assert making.spec(speed=1.0).key != making.spec(speed=1.01).key


def test_everything_that_decides_the_sound_is_in_the_key() -> None:
    others = {
        making.spec("Other.").key,
        making.spec(engine="piper").key,
        making.spec(voice="joe").key,
        making.spec(voice_revision="2").key,
        making.spec(speed=1.5).key,
        making.spec(options={"seed": 1}).key,
    }
    assert len(others | {making.spec().key}) == 7


def test_the_order_of_options_is_not_in_the_key() -> None:
    assert making.spec(options={"a": 1, "b": 2}).key == making.spec(options={"b": 2, "a": 1}).key


def test_the_text_rules_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = making.spec().key
    monkeypatch.setattr(speech_clips, "TEXT_RULES", TEXT_RULES + 1)
    assert making.spec().key != before


def test_no_user_is_in_the_key() -> None:
    assert set(asdict(making.spec())) == {"text", "engine", "voice", "voice_revision", "speed", "options"}


# --- One maker -------------------------------------------------------------------------------------------------------


def test_of_many_threads_one_makes_the_clip(database: Database) -> None:
    tokens = making.at_once(24, lambda number: claim(database, making.spec(), node=f"n{number}"))
    (token,) = [token for token in tokens if token]
    clip = read(database, making.spec().key)
    assert clip is not None
    assert (clip.state, clip.token) == ("making", token)
    assert clip.spec == asdict(making.spec())


@pytest.mark.parametrize("first_commits", [True, False])
def test_one_who_claims_while_another_is_about_to_gets_it_only_if_that_fails(
    database: Database, first_commits: bool
) -> None:
    with ThreadPoolExecutor(1) as thread:
        try:
            with database.transaction() as session:
                assert speech_clips.claim(session, making.spec(), node="a", lease_seconds=60)
                second = thread.submit(claim, database, making.spec(), node="b")
                eventually(lambda: making.somebody_waits(database))
                if not first_commits:
                    raise InterruptedError
        except InterruptedError:
            pass
        assert (second.result(10) is None) == first_commits


def test_a_claim_is_a_lease(database: Database) -> None:
    claim(database, making.spec(), node="gpu0@here", seconds=90)
    clip = read(database, making.spec().key)
    assert clip is not None
    assert clip.lease_until is not None
    assert clip.lease_node == "gpu0@here"
    assert timedelta(seconds=80) < clip.lease_until - utc_now() <= timedelta(seconds=90)


def test_a_ready_clip_is_not_claimed(database: Database) -> None:
    making.make_clip(database, making.spec())
    assert claim(database, making.spec()) is None


def test_a_clip_is_made_under_its_token_and_is_then_free(database: Database) -> None:
    token = claim(database, making.spec())
    assert token
    assert made(database, making.spec(), token, MadeFile(Form("wav"), "f", 100)) is False
    clip = read(database, making.spec().key)
    assert clip is not None
    assert (clip.state, clip.duration_seconds, clip.sample_rate_hz) == ("ready", 1.5, 24000)
    assert (clip.token, clip.lease_until, clip.lease_node) == (None, None, None)


@pytest.mark.parametrize("then", ["lapsed", "claimed by another", "ready", "gone"])
def test_a_clip_made_under_a_stale_token_is_refused_and_leaves_nothing(database: Database, then: str) -> None:
    stale = claim(database, making.spec(), seconds=-1)
    assert stale
    with database.transaction() as session:
        speech_clips.return_lapsed(session)
        if then == "gone":
            session.delete(session.get_one(SpeechClip, making.spec().key))
    if then == "claimed by another":
        assert claim(database, making.spec(), node="b")
    elif then == "ready":
        making.make_clip(database, making.spec(), MadeFile(Form("wav"), "theirs", 100))
    before = read(database, making.spec().key)
    with pytest.raises(LeaseLost):
        made(database, making.spec(), stale, MadeFile(Form("wav"), "mine", 50), MadeFile(Form("flac"), "mine", 50))
    after = read(database, making.spec().key)
    assert (before and making.row(before)) == (after and making.row(after))
    with database.transaction() as session:
        assert not speech_renditions.known_files(session, ["mine"])


def test_an_abandoned_clip_is_made_by_the_next(database: Database) -> None:
    token = claim(database, making.spec())
    assert token
    with database.transaction() as session:
        assert speech_clips.abandon(session, making.spec().key, token) is False
    assert claim(database, making.spec(), node="b")


def test_only_the_maker_can_abandon_a_clip(database: Database) -> None:
    token = claim(database, making.spec())
    with database.transaction() as session:
        speech_clips.abandon(session, making.spec().key, "another's")
    assert read(database, making.spec().key).token == token  # type: ignore[union-attr]


def test_a_clip_that_is_ready_cannot_be_abandoned(database: Database) -> None:
    token = claim(database, making.spec())
    assert token
    made(database, making.spec(), token, MadeFile(Form("wav"), "f", 100))
    with database.transaction() as session:
        speech_clips.abandon(session, making.spec().key, token)
    assert find(database, making.spec().key)


def test_a_lapsed_claim_is_taken_back_and_only_that(database: Database) -> None:
    lapsed, held = making.spec("lapsed"), making.spec("held")
    claim(database, lapsed, seconds=-1)
    claim(database, held)
    making.make_clip(database, making.spec("ready"))
    with database.transaction() as session:
        assert speech_clips.return_lapsed(session) == [lapsed.key]
        assert speech_clips.return_lapsed(session) == []
    assert claim(database, lapsed)
    assert claim(database, held) is None


def test_the_claims_of_a_dead_node_are_taken_back(database: Database) -> None:
    mine, theirs = making.spec("mine"), making.spec("theirs")
    claim(database, mine, node="gpu0@here")
    claim(database, theirs, node="gpu1@here")
    with database.transaction() as session:
        assert speech_clips.return_lapsed(session, node="gpu0@here") == [mine.key]


def test_renewing_names_what_is_still_held(database: Database) -> None:
    token, done = claim(database, making.spec("a"), seconds=5), claim(database, making.spec("b"))
    assert token
    assert done
    made(database, making.spec("b"), done)
    with database.transaction() as session:
        assert speech_clips.renew(session, [token, done, "nobody's"], lease_seconds=90) == {token}
    clip = read(database, making.spec("a").key)
    assert clip is not None
    assert clip.lease_until is not None
    assert clip.lease_until - utc_now() > timedelta(seconds=60)


def test_a_maker_is_told_whether_somebody_waits(database: Database) -> None:
    for ending in (
        speech_clips.abandon,
        lambda session, key, token: speech_clips.made(session, key, token, duration_seconds=1, sample_rate_hz=1),
    ):
        token = claim(database, making.spec())
        with database.transaction() as session:
            assert speech_clips.await_maker(session, making.spec().key)
        with database.transaction() as session:
            assert ending(session, making.spec().key, token) is True


def test_who_waited_for_a_former_maker_is_not_rung_by_the_next(database: Database) -> None:
    first = claim(database, making.spec())
    assert first
    with database.transaction() as session:
        speech_clips.await_maker(session, making.spec().key)
        speech_clips.abandon(session, making.spec().key, first)
    second = claim(database, making.spec())
    assert second
    assert made(database, making.spec(), second) is False


@pytest.mark.parametrize("state", ["unknown", "absent", "ready"])
def test_nobody_waits_for_a_clip_that_nobody_makes(database: Database, state: str) -> None:
    if state == "absent":
        claim(database, making.spec(), seconds=-1)
        with database.transaction() as session:
            speech_clips.return_lapsed(session)
    elif state == "ready":
        making.make_clip(database, making.spec())
    with database.transaction() as session:
        assert not speech_clips.await_maker(session, making.spec().key)


# --- Finding ---------------------------------------------------------------------------------------------------------


def test_a_rendition_is_found_in_its_format_alone(database: Database) -> None:
    key = making.make_clip(database, making.spec(), MadeFile(Form("wav"), "f", 100))
    assert find(database, key) == Found(key, Form("wav"), "f", 100, 1.5, 24000)
    assert find(database, key, "flac") is None
    with database.transaction() as session:
        speech_renditions.add(session, key, MadeFile(Form("flac"), "g", 60))
    assert find(database, key, "flac") == Found(key, Form("flac"), "g", 60, 1.5, 24000)


def test_the_same_rendition_again_changes_nothing(database: Database) -> None:
    key = making.make_clip(database, making.spec(), MadeFile(Form("wav"), "f", 100))
    with database.transaction() as session:
        speech_renditions.add(session, key, MadeFile(Form("wav"), "other", 999))
    assert find(database, key) == Found(key, Form("wav"), "f", 100, 1.5, 24000)


def test_a_clip_that_is_not_ready_is_not_found(database: Database) -> None:
    key = making.make_clip(database, making.spec())
    with database.transaction() as session:
        session.execute(update(SpeechClip).values(state="absent"))
    assert find(database, key) is None
    with database.transaction() as session:
        assert speech_clips.ready_keys(session, [key]) == {}


def test_renditions_at_another_rate_or_loudness_are_not_mistaken(database: Database) -> None:
    key = making.make_clip(database, making.spec())
    with database.transaction() as session:
        values = {"clip_key": key, "format": "flac", "file": "x", "size_bytes": 1}
        session.add(SpeechRendition(**values, sample_rate_hz=8000, loudness_lufs=0.0))
        session.add(SpeechRendition(**values, sample_rate_hz=0, loudness_lufs=-16.0))
    assert find(database, key, "flac") is None


def test_ready_keys_tell_which_of_many_are_there(database: Database) -> None:
    ready = making.make_clip(database, making.spec("ready"))
    claim(database, making.spec("making"))
    with database.transaction() as session:
        asked = [ready, making.spec("making").key, making.spec("unknown").key]
        assert speech_clips.ready_keys(session, asked) == {ready: 1.5}
        assert speech_clips.ready_keys(session, []) == {}


def test_a_clip_whose_file_is_gone_is_made_again(database: Database) -> None:
    key = making.make_clip(database, making.spec(), MadeFile(Form("wav"), "f", 1), MadeFile(Form("flac"), "g", 1))
    with database.transaction() as session:
        speech_clips.forget_file(session, key)
    assert find(database, key, "flac") is None
    assert claim(database, making.spec())


def test_a_clip_that_is_being_made_is_not_forgotten(database: Database) -> None:
    token = claim(database, making.spec())
    assert token
    with database.transaction() as session:
        speech_clips.forget_file(session, making.spec().key)
    assert made(database, making.spec(), token) is False


def test_touching_says_when_a_clip_was_used(database: Database) -> None:
    old = func.now() - timedelta(days=3)
    used = making.make_clip(database, making.spec("used"), last_used_at=old)
    unused = making.make_clip(database, making.spec("unused"), last_used_at=old)
    with database.transaction() as session:
        speech_clips.touch(session, {used})
    assert utc_now() - read(database, used).last_used_at < timedelta(minutes=1)  # type: ignore[union-attr]
    assert utc_now() - read(database, unused).last_used_at > timedelta(days=2)  # type: ignore[union-attr]
