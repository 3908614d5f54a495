"""What is nearly the word: near enough to be hard, never the word itself."""

from __future__ import annotations

import numpy as np
import pytest

from workers.errors import BadInput
from workers.wakeword.near import NearWords, halves, near
from workers.wakeword.pronounce import Dictionary, dictionary, from_hibari
from workers.wakeword.samples import Sample

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["of this machine", "hibari"])
def words(request: pytest.FixtureRequest) -> Dictionary:
    return dictionary() if request.param == "of this machine" else from_hibari()


def texts(found: NearWords, kind: str | None = None) -> list[str]:
    return [each.text for each in found.words if kind in (None, each.kind)]


def test_the_nearest_words_of_alexa_are_those_people_complain_about(words: Dictionary) -> None:
    found = texts(near("alexa", 60, 1, words))
    assert {"alexis", "elixir"} <= set(found)
    assert "alexa" not in found
    assert len(found) == len(set(found)) == 60


def test_inflections_and_phrases_with_the_word_in_them_are_left_out_and_named(words: Dictionary) -> None:
    found = near("computer", 80, 1, words)
    assert not [text for text in texts(found) if "computer" in text.split() or text in ("computers", "supercomputer")]
    assert any("is heard in them" in warning for warning in found.warnings)
    # Of one stem, but not the word.
    assert "compute" in texts(found)


def test_what_sounds_the_same_is_left_out_and_named(words: Dictionary) -> None:
    found = near("hey jarvis", 60, 1, words)
    assert not {"hay jarvis", "hae jarvis"} & set(texts(found))
    assert any(
        warning.startswith("Left out, since they sound like 'hey jarvis' itself: ha") for warning in found.warnings
    )


def test_a_phrase_gives_its_parts_and_itself_with_either_word_exchanged(words: Dictionary) -> None:
    found = near("hey jarvis", 60, 1, words)
    assert texts(found, "part") == ["hey", "jarvis"]
    phrases = [text.split() for text in texts(found, "phrase")]
    assert sum(first == "hey" for first, _ in phrases) >= 10
    assert sum(second == "jarvis" for _, second in phrases) >= 10
    assert texts(found, "word")


def test_a_phrase_of_three_words_has_five_parts(words: Dictionary) -> None:
    assert set(texts(near("open the door", 90, 1, words), "part")) == {"open", "the", "door", "open the", "the door"}


def test_one_seed_gives_one_list_and_another_seed_other_far_words(words: Dictionary) -> None:
    assert near("alexa", 60, 1, words) == near("alexa", 60, 1, words)
    one, other = (set(texts(near("alexa", 60, seed, words))) for seed in (1, 2))
    assert one != other
    assert len(one & other) >= 36


def test_the_nearest_come_first_and_none_is_nearer_than_an_accent(words: Dictionary) -> None:
    found = [each for each in near("computer", 60, 1, words).words if each.kind != "part"]
    distances = [each.distance for each in found]
    assert distances == sorted(distances)
    assert min(distances) >= 0.5
    assert max(distances) <= 0.5 * 8


def test_a_word_in_no_dictionary_has_near_words_and_a_warning(words: Dictionary) -> None:
    found = near("wakebuilder", 40, 1, words)
    assert "'wakebuilder' is in no dictionary: how it sounds was guessed from its spelling." in found.warnings
    assert {"builder", "wake elder"} & set(texts(found))


def test_a_word_of_other_letters_has_no_near_words_and_says_why(words: Dictionary) -> None:
    found = near("джарвис", 40, 1, words)
    assert found.words == ()
    assert "no English letters" in found.warnings[0]


def test_two_letters_have_near_words_too(words: Dictionary) -> None:
    assert {"go", "joke", "jay"} <= set(texts(near("jo", 60, 1, words)))


def test_no_word_at_all_is_refused(words: Dictionary) -> None:
    with pytest.raises(BadInput):
        near("  ", 10, 1, words)


def test_halves_part_a_clip_where_it_is_quiet_and_are_no_longer_the_word() -> None:
    time = np.arange(9_600) / 16_000
    syllables = (0.4 * np.sin(2 * np.pi * 200 * time) * ((time < 0.28) | (time > 0.34))).astype(np.float32)
    first, second = halves(Sample(syllables, 1, "positive", "user", "take 1", "alexa"))
    assert (first.label, first.source, first.family, first.recording) == (0, "near", "user", "take 1")
    assert 0.27 <= len(first.samples) / 16_000 <= 0.35
    assert len(first.samples) + len(second.samples) == len(syllables)
    assert (first.text, second.text) == ("alexa (first half)", "alexa (second half)")
