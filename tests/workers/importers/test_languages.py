"""Which language a text is in."""

from __future__ import annotations

import pytest

from workers.importers import languages

ENGLISH = "Photosynthesis is how plants make food from light, water and carbon dioxide. It happens in their leaves. "
GERMAN = "Die Photosynthese ist der Vorgang, bei dem Pflanzen aus Licht, Wasser und Kohlendioxid Nahrung herstellen. "
FRENCH = "La photosynthèse est le processus par lequel les plantes produisent leur nourriture à partir de la lumière. "


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (FRENCH, "fr"),
        ("光合作用是植物利用光能制造养分的过程，它发生在叶绿体中。", "zh"),
        ("光合成は、植物が光を使って養分を作る働きのことです。", "ja"),
        ("הפוטוסינתזה היא התהליך שבו צמחים מייצרים מזון מאור.", "he"),
        ("التمثيل الضوئي هو العملية التي تصنع بها النباتات غذاءها من الضوء.", "ar"),
        ("Фотосинтез — это процесс, при котором растения создают пищу из света.", "ru"),
    ],
)
def test_a_language_is_known_from_its_text(text: str, code: str) -> None:
    assert languages.detect(text) == code


def test_a_word_alone_is_in_no_language_but_that_of_its_course() -> None:
    assert languages.detect("Introduction") is None
    assert languages.detect("Introduction", "fr") == "fr"
    assert languages.detect("x = y + 1", "de") == "de"


def test_what_a_page_says_of_itself_is_believed_unless_its_text_speaks_against_it() -> None:
    assert languages.detect(GERMAN * 3, "en") == "de"
    assert languages.detect("Guten Morgen, ihr lieben Leute.", "en-GB") == "en"
    assert languages.detect(ENGLISH * 3, "en-GB") == "en"


@pytest.mark.parametrize(
    ("told", "code"),
    [
        *(("en", "en"), ("en-US", "en"), ("ger", "de"), ("DEU", "de"), ("zh_Hans", "zh"), ("", None), (None, None)),
        *(("english", None), ("und", None), ("x-klingon", None), ("1", None)),
    ],
)
def test_a_code_of_two_letters_is_made_of_what_is_told(told: str | None, code: str | None) -> None:
    assert languages.code(told) == code
