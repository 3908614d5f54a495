"""Drafts to outlines: topics, objectives, languages, what is there twice, and licences."""

from __future__ import annotations

import json
import time

import pytest

from workers.errors import BadInput, Stopped
from workers.importers import enrich as enriching
from workers.importers import languages
from workers.importers.draft import Draft, Section
from workers.importers.enrich import enrich
from workers.importers.outline import Asset, Outline, Segment
from workers.importers.places import resolved

BY = "https://creativecommons.org/licenses/by/4.0/"
ND = "https://creativecommons.org/licenses/by-nd/4.0/"


class Held:
    """The files of a course, in memory."""

    def __init__(self, *names: str) -> None:
        self._names = list(names)

    def names(self) -> list[str]:
        return self._names

    def size(self, name: str) -> int:
        return len(self.read(name, most=1))

    def read(self, name: str, *, most: int) -> bytes:
        return dict.fromkeys(self._names, b"")[name]


def ignored(_: float) -> None:
    """Nobody looks at the progress."""


def outline_of(draft: Draft, *, accept_license: bool = False) -> Outline:
    return enrich(draft, accept_license=accept_license, report=ignored)


def course(*sections: Section, title: str = "Biology") -> Draft:
    return Draft(title=title, sections=list(sections))


@pytest.mark.parametrize(
    ("title", "heading", "first"),
    [
        ("Scope", '<span class="section-number">1. </span>Scope', "Text."),
        ("Scope", "1.2 Scope", "Text."),
        ("Scope", "A.1 Scope", "Text."),
        ("Scope", "Chapter 3: Scope", "Text."),
        ("IV. Scope", "Scope", "Text."),
        ("debian.org: Scope", "4.4.5. debian.org: Scope", "Text."),
        ("2. Scope", "1. Scope", "1. Scope"),
        ("Scope", "A Scope", "A Scope"),
    ],
)
def test_a_heading_that_adds_its_number_to_the_title_is_not_said_again(title: str, heading: str, first: str) -> None:
    (topic,) = outline_of(course(Section(title, 1, f"<h1>{heading}</h1><p>Text.</p>"))).topics
    assert (topic.title, topic.segments[0].text) == (title, first)


def test_each_page_is_a_topic_that_knows_what_it_is_part_of() -> None:
    outline = outline_of(
        course(
            Section("Part I", 1),
            Section("Cells", 2, "<h1>Cells</h1><p>A cell lives.</p>"),
            Section("Organs", 2, "<p>Many cells.</p>"),
            Section("Part II", 1, "Plants grow.", "text"),
        )
    )
    assert [topic.title for topic in outline.topics] == ["Cells", "Organs", "Part II"]
    assert [topic.extra for topic in outline.topics] == [{"part_of": ["Part I"]}, {"part_of": ["Part I"]}, {}]
    # The title is not said twice.
    assert outline.topics[0].segments == [Segment("A cell lives.")]


def test_a_page_that_is_a_whole_course_is_divided_at_its_headings() -> None:
    text = "A sentence about it. " * 50
    page = (
        f"# Biology\n\nWelcome.\n\n## Cells\n\n{text}\n\n### Walls\n\nThick.\n\n## Organs\n\n{text}![A leaf](leaf.png)"
    )
    outline = outline_of(course(Section("Biology", 1, page, "markdown")))
    assert [topic.title for topic in outline.topics] == ["Biology", "Cells", "Organs"]
    assert [segment.text for segment in outline.topics[0].segments] == ["Welcome."]
    assert [segment.text for segment in outline.topics[1].segments][-2:] == ["Walls", "Thick."]
    assert [topic.assets for topic in outline.topics] == [[], [], [Asset("image", "leaf.png", "A leaf")]]
    assert outline.topics[1].extra == {"part_of": ["Biology"]}


def test_a_short_page_among_others_stays_whole() -> None:
    page = "<h2>One</h2><p>First.</p><h2>Two</h2><p>Second.</p>"
    outline = outline_of(course(Section("Page", 1, page), Section("Other", 1, "<p>Else.</p>")))
    assert [segment.text for segment in outline.topics[0].segments] == ["One", "First.", "Two", "Second."]
    assert [segment.kind for segment in outline.topics[0].segments] == ["heading", "paragraph", "heading", "paragraph"]


@pytest.mark.parametrize(
    "page",
    [
        "<h2>Learning Objectives</h2><p>You will:</p><ol><li>Name the parts.</li><li>Draw a cell</li></ol><p>Go.</p>",
        "<p>By the end of this lesson you will be able to:</p><ul><li>Name the parts</li><li>Draw a cell</li></ul>",
        "<h3>Lernziele:</h3><ul><li>Name the parts;</li><li>Draw a cell</li></ul>",
        "<h2>1.1 Objectives</h2><ul><li>Name the parts</li><li>Draw a cell</li></ul><h2>Else</h2><ul><li>No</li></ul>",
    ],
)
def test_objectives_are_those_that_the_page_names(page: str) -> None:
    [topic] = outline_of(course(Section("Cells", 1, page))).topics
    assert topic.objectives == ["Name the parts", "Draw a cell"]


def test_objectives_are_those_of_the_list_right_after_they_are_announced() -> None:
    announced = "<p>You will be able to:</p>"
    page = f"{announced}<p>Wait.</p><ul><li>No</li></ul>{announced}<ul><li>Yes</li></ul><ul><li>Nor this</li></ul>"
    [topic] = outline_of(course(Section("Cells", 1, page))).topics
    assert topic.objectives == ["Yes"]


def test_where_a_page_names_no_objectives_none_are_made_up() -> None:
    [topic] = outline_of(course(Section("Cells", 1, "<h2>Parts</h2><ul><li>Wall</li></ul>"))).topics
    assert topic.objectives == []


def test_reading_time_is_that_of_an_unhurried_lecture() -> None:
    words = "<p>" + "one two three four five six seven eight. " * 20 + "</p>"
    signs = "<p>" + "植物利用光能制造养分的过程。" * 20 + "</p>"
    spoken, signed = outline_of(course(Section("A", 1, words), Section("B", 1, signs))).topics
    assert spoken.reading_seconds == pytest.approx(60 + 0.6 * len(spoken.segments), abs=1)
    assert signed.reading_seconds == pytest.approx(20 * 13 * 60 / 250 + 0.6 * len(signed.segments), abs=1)


def test_each_topic_has_its_language_and_the_course_that_of_most_of_it() -> None:
    german = "<p>" + "Die Pflanzen stellen aus Licht und Wasser ihre Nahrung her. " * 8 + "</p>"
    french = "<p>" + "Les plantes produisent leur nourriture à partir de la lumière. " * 3 + "</p>"
    outline = outline_of(
        course(Section("Licht", 1, german), Section("Lumière", 1, french), Section("X", 1, "<p>Hm.</p>"))
    )
    assert [topic.language for topic in outline.topics] == ["de", "fr", None]
    assert outline.language == "de"


def test_formulas_are_said_in_the_language_of_their_page() -> None:
    german = "Die Pflanzen stellen aus Licht und Wasser ihre Nahrung her, und es gilt immer $a^2 = b$."
    [topic] = outline_of(course(Section("Licht", 1, german, "text"))).topics
    assert topic.segments[0].text.endswith("es gilt immer a hoch 2 gleich b.")


def test_the_same_page_twice_is_one_topic() -> None:
    page = "<p>The very same words.</p>"
    outline = outline_of(course(Section("One", 1, page), Section("Two", 1, f"<div>{page}</div>")))
    assert [topic.title for topic in outline.topics] == ["One"]
    assert "Two: the same as 'One', left out." in outline.notes


def test_what_stands_on_most_pages_is_read_once() -> None:
    pages = [Section(f"P{n}", 1, f"<p>Visit our school soon.</p><h2>Summary</h2><p>Number {n}.</p>") for n in range(5)]
    outline = outline_of(course(*pages))
    said = [[segment.text for segment in topic.segments] for topic in outline.topics]
    assert said[0] == ["Visit our school soon.", "Summary", "Number 0."]
    assert said[1:] == [["Summary", f"Number {n}."] for n in range(1, 5)]
    assert "What stands on most pages is read once: Visit our school soon." in outline.notes


def test_a_caption_that_repeats_its_description_and_a_heading_over_nothing_are_not_said() -> None:
    page = '<figure><img src="a.png" alt="A leaf"><figcaption>A leaf.</figcaption></figure><h2>References</h2>'
    [topic] = outline_of(course(Section("Leaves", 1, page))).topics
    assert topic.segments == [Segment("A leaf.", "figure")]


def test_images_and_links_lead_to_files_of_the_course_or_to_addresses() -> None:
    page = (
        '<p>See <a href="b.html#x">b</a>, <a href="b.html">b again</a>, <a href="../top.html">top</a>, '
        '<a href="../../../etc/passwd">no</a>, <a href="https://example.org/">out</a>, '
        '<a href="gone.html">gone</a>.</p>'
        '<img src="../img/leaf%201.png" alt="A leaf">'
    )
    draft = course(Section("A", 1, page, path="pages/a.html"))
    draft.files = Held("pages/a.html", "pages/b.html", "top.html", "img/leaf 1.png")
    outline = outline_of(draft)
    assert outline.topics[0].assets == [
        Asset("link", "pages/b.html", "b"),
        Asset("link", "top.html", "top"),
        Asset("link", "https://example.org/", "out"),
        Asset("image", "img/leaf 1.png", "A leaf"),
    ]
    assert "A: pages/gone.html is not in the course." in outline.notes


@pytest.mark.parametrize(
    ("target", "page", "place"),
    [
        ("b.html", "https://example.org/a/", "https://example.org/a/b.html"),
        ("//cdn.example.org/x.png", "a.html", "https://cdn.example.org/x.png"),
        ("/b.html", "x/a.html", "b.html"),
        ("mailto:a@example.org", "a.html", "mailto:a@example.org"),
        ("javascript:x()", "a.html", None),
        ("data:image/png;base64,xx", "a.html", None),
        ("file:///etc/passwd", "a.html", None),
        ("../x.html", "a.html", None),
        ("http://[", "a.html", None),
        ("#x", "a.html", None),
        ("..", "x/a.html", None),
        ("b\x00.html", "a.html", None),
    ],
)
def test_a_target_is_seen_from_its_page(target: str, page: str, place: str | None) -> None:
    assert resolved(target, page) == place


def test_words_that_are_said_twice_stay() -> None:
    [topic] = outline_of(course(Section("Song", 1, "<p>Row, row.</p><p>Row, row.</p>"))).topics
    assert [segment.text for segment in topic.segments] == ["Row, row."] * 2


def test_what_was_not_read_is_noted_with_its_topic() -> None:
    page = "<p>Call it.</p><pre><code>x = 1</code></pre>"
    outline = outline_of(course(Section("Code", 1, page), Section("Blank", 1, "<p>…</p>")))
    assert "Code: Code is not read (1 lines): x = 1" in outline.notes
    assert "Blank: nothing in it can be read." in outline.notes


def test_notes_are_told_once_and_not_without_end() -> None:
    images = "".join(f'<img src="{number}.png">' for number in range(500))
    notes = outline_of(course(Section("A", 1, f"<p>Text.</p>{images}"))).notes
    assert (len(notes), notes[-1]) == (201, "And 301 more notes.")


# --- Licences --------------------------------------------------------------------------------------------------------


def with_rights(*licence_texts: str, page: str = "<p>A cell lives.</p>") -> Draft:
    draft = course(Section("Cells", 1, page))
    draft.licence_texts = list(licence_texts)
    return draft


def test_a_licence_that_forbids_derivatives_is_refused_with_its_words() -> None:
    with pytest.raises(BadInput, match=r"forbids derivatives \(CC BY-ND 4\.0\): “Licensed CC BY-ND 4\.0”") as refused:
        outline_of(with_rights("Licensed CC BY-ND 4.0"), accept_license=True)
    assert refused.value.code == "license_forbids"


def test_a_licence_that_is_unclear_is_refused_unless_accepted() -> None:
    draft = with_rights("© 2020 Ann Lee. All rights reserved.")
    with pytest.raises(BadInput, match="All rights reserved") as refused:
        outline_of(draft)
    assert refused.value.code == "license_unclear"
    accepted = outline_of(draft, accept_license=True)
    assert accepted.licence is not None
    assert accepted.licence.verdict == "unclear"


def test_a_licence_that_allows_is_kept_with_whose_work_it_is() -> None:
    draft = with_rights(f"© 2011 Ann Lee. {BY}")
    draft.authors = ["Ann Lee", "Bo  Chu", "Ann Lee"]
    outline = outline_of(draft)
    assert outline.licence is not None
    assert (outline.licence.name, outline.licence.url) == ("CC BY 4.0", BY)
    assert outline.authors == ["Ann Lee", "Bo Chu"]
    assert outline.attribution == f"“Biology” by Ann Lee, Bo Chu. © 2011 Ann Lee. CC BY 4.0 ({BY})."


def test_a_licence_in_a_page_is_that_of_the_course_if_the_course_names_none() -> None:
    page = f'<p>A cell lives.</p><footer><a rel="license" href="{ND}">Licence</a></footer>'
    with pytest.raises(BadInput) as refused:
        outline_of(with_rights(page=page))
    assert refused.value.code == "license_forbids"


def test_what_a_page_says_makes_plain_whose_a_course_is_and_not_what_its_source_reserves() -> None:
    page = "<p>A cell lives.</p><p>Licensed under CC BY 4.0</p>"
    for rights, name in (("© 2020 Ann", "CC BY 4.0"), ("All rights reserved.", "All rights reserved")):
        licence = outline_of(with_rights(rights, page=page), accept_license=True).licence
        assert licence is not None
        assert licence.name == name


def test_a_licence_of_one_page_does_not_count_against_that_of_the_course() -> None:
    page = (
        f'<p>A cell lives.</p><footer>This page is licensed under <a rel="license" href="{ND}">CC BY-ND</a>.</footer>'
    )
    outline = outline_of(with_rights(BY, page=page))
    assert outline.licence is not None
    assert outline.licence.name == "CC BY 4.0"
    assert any("'Cells' names another licence: CC BY-ND 4.0" in note for note in outline.notes)


def test_a_course_that_names_no_licence_is_taken_and_that_is_noted() -> None:
    outline = outline_of(with_rights())
    assert outline.licence is None
    assert outline.notes == ["No licence was found."]
    assert outline.attribution == ""


def test_after_a_large_course_nothing_is_kept_in_memory_that_tells_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Section("Cells", 1, "The cells of a plant make their food out of light and of water. " * 8, "text")
    assert outline_of(course(page)).language == "en"
    assert languages._identifier.cache_info().currsize == 1
    monkeypatch.setattr(enriching, "_LARGE_CHARACTERS", len(page.content) - 1)
    assert outline_of(course(page)).language == "en"
    assert languages._identifier.cache_info().currsize == 0


def test_a_page_of_thousands_of_headings_takes_no_longer_than_its_length() -> None:
    page = "".join(f"<h2>Heading {n}</h2><p>Words <a href='https://example.org/{n}'>{n}</a>.</p>" for n in range(8_000))
    started = time.process_time()
    outline = outline_of(course(Section("Long", 1, page)))
    # About 3 s where nothing else runs.
    assert time.process_time() - started < 15
    assert len(outline.topics) == 8_000
    assert all(len(topic.assets) == 1 for topic in outline.topics)


# --- Whole courses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draft", [course(), course(Section("Only a title", 1)), course(Section("A", 1, "<p>…</p><script>x</script>"))]
)
def test_a_course_of_nothing_is_refused(draft: Draft) -> None:
    with pytest.raises(BadInput, match="'Biology' has nothing to be read") as refused:
        outline_of(draft)
    assert refused.value.code == "empty_course"


def test_a_course_without_a_title_takes_that_of_its_first_topic() -> None:
    assert outline_of(course(Section("", 1, "<h1>Cells</h1><p>Live.</p>"), title="")).title == "Cells"
    assert outline_of(
        course(Section("", 1, "<p>Cells live in all that lives on earth today.</p>"), title="")
    ).title == ("Cells live in all that lives on earth…")


def test_an_export_keeps_its_topics_as_they_are() -> None:
    content = [
        {
            "id": "t1",
            "title": "Cells",
            "description": "About cells.",
            "level": 3,
            "segments": [
                {"id": 7, "text": "One. Two. Three. Four. Five.", "speaker": "Ann"},
                {"text": "All rights reserved."},
            ],
        }
    ]
    outline = outline_of(Draft("Biology", [], topics_given=content))  # type: ignore[arg-type]
    [topic] = outline.topics
    assert (topic.id, topic.title, topic.description, topic.extra) == ("t1", "Cells", "About cells.", {"level": 3})
    assert topic.segments == [
        Segment("One. Two. Three. Four. Five.", id="7", extra={"speaker": "Ann"}),
        Segment("All rights reserved."),
    ]
    assert topic.reading_seconds > 0


@pytest.mark.parametrize(
    "topic", [{"title": ""}, {"title": "A", "segments": "x"}, {"title": "A", "segments": [{"text": " "}]}]
)
def test_an_export_that_is_broken_is_refused(topic: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        outline_of(Draft("Biology", [], topics_given=[topic]))


def test_an_outline_survives_a_file() -> None:
    outline = outline_of(
        with_rights(BY, page="<p>A <a href='https://example.org/'>cell</a> lives.</p><ul><li>a</li></ul>")
    )
    assert Outline.from_json(json.loads(json.dumps(outline.as_json()))) == outline


def test_progress_grows_and_a_stop_is_heard() -> None:
    told: list[float] = []
    draft = course(*(Section(f"P{number}", 1, f"<p>Number {number}.</p>") for number in range(10)))
    enrich(draft, accept_license=False, report=told.append)
    assert told == sorted(told)
    assert (told[0], told[-1], len(told)) == (0.0, 1.0, 12)

    def stop(progress: float) -> None:
        if progress > 0.4:
            raise Stopped

    with pytest.raises(Stopped):
        enrich(draft, accept_license=False, report=stop)
