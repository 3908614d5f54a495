"""Which licences are found in a text, what they allow, and whose work it is."""

from __future__ import annotations

import time

import pytest

from workers.importers import attributions, licences

URL = "https://creativecommons.org/licenses/by-nc-nd/4.0/"


ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
LISTED = (
    "<p>Packages distributed under the Apache license (version 2.0), the Artistic license, the Creative Commons "
    "CC0-1.0 license, the GNU GPL (versions 1, 2, or 3), the GNU LGPL (versions 2, 2.1, or 3), the GNU FDL "
    "(versions 1.2 or 1.3), and the Mozilla Public License (version 1.1 or 2.0) should "
    "refer to the corresponding files.</p>"
)


@pytest.mark.parametrize(
    ("text", "name", "verdict"),
    [
        ("https://creativecommons.org/licenses/by/4.0/", "CC BY 4.0", "allowed"),
        ("http://creativecommons.org/licenses/by-sa/2.0/de/", "CC BY-SA 2.0", "allowed"),
        (URL, "CC BY-NC-ND 4.0", "forbidden"),
        ("//creativecommons.org/licenses/nd-nc/1.0", "CC NC-ND 1.0", "forbidden"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0", "allowed"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "Public domain", "allowed"),
        ("CC BY-NC-SA 4.0", "CC BY-NC-SA 4.0", "allowed"),
        ("CC-BY-ND", "CC BY-ND", "forbidden"),
        ("CC0", "CC0 1.0", "allowed"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC BY-SA 4.0", "allowed"),
        ("Creative Commons Attribution–NonCommercial–NoDerivs 3.0", "CC BY-NC-ND 3.0", "forbidden"),
        ("Creative Commons Namensnennung – Keine Bearbeitungen 4.0", "CC BY-ND 4.0", "forbidden"),
        ("Creative Commons Paternité - Pas d’Utilisation Commerciale 2.0", "CC BY-NC 2.0", "allowed"),
        ("GNU Free Documentation License, version 1.3", "GNU Free Documentation License", "allowed"),
        ("the GNU FDL", "GNU Free Documentation License", "allowed"),
        ("the GNU General Public License, version 2", "GNU General Public License", "allowed"),
        ("GPLv3", "GNU General Public License", "allowed"),
        ("GNU Lesser General Public License", "GNU Lesser General Public License", "allowed"),
        ("GNU LGPL", "GNU Lesser General Public License", "allowed"),
        ("GNU Affero General Public License", "GNU Affero General Public License", "allowed"),
        ("Mozilla Public License (version 2.0)", "Mozilla Public License", "allowed"),
        ("Your use of MIT OpenCourseWare is subject to our Creative Commons License and terms of use.",
         "CC BY-NC-SA 4.0", "allowed"),
        ("This book is in the public domain.", "Public domain", "allowed"),
        ("Dieses Werk ist gemeinfrei.", "Public domain", "allowed"),
        ("No derivative works are permitted.", "No derivatives", "forbidden"),
        ("This text may not be modified.", "No derivatives", "forbidden"),
        ("All rights reserved.", "All rights reserved", "unclear"),
        ("Alle Rechte vorbehalten", "All rights reserved", "unclear"),
        ("© 2020 Jane Doe", "Copyright without a licence", "unclear"),
        ("Under a Creative Commons license.", "Creative Commons, which one is not said", "unclear"),
    ],
)  # fmt: skip
def test_a_licence_is_known_by_its_words(text: str, name: str, verdict: str) -> None:
    found = licences.find([text])
    assert [(licence.name, licence.verdict) for licence in found] == [(name, verdict)]
    assert found[0].words
    assert found[0].words in " ".join(text.split())


@pytest.mark.parametrize(
    "text", ["", "Cells divide.", "Turn right.", "The House of Commons.", "CC the teacher.", "CCBYTE"]
)
def test_where_no_licence_is_named_none_is_found(text: str) -> None:
    assert licences.find([text]) == []


def test_the_words_are_the_sentence_without_its_tags() -> None:
    link = f'<a rel="license" href="{URL}">CC BY-NC-ND 4.0</a>'
    page = f"<p>Read on.</p><p>This work is <b>licensed</b> under {link}.</p><p>Bye."
    [licence] = licences.find([page], pages=True)
    assert licence.words == "This work is licensed under CC BY-NC-ND 4.0 ."
    assert licence.url == URL


@pytest.mark.parametrize(
    "page",
    [
        "<p>We learn what all rights reserved means, and what a Creative Commons licence is.</p>",
        "<p>After 70 years a work enters the public domain.</p>",
        f'<figure><img src="x.png"><figcaption>Photo by Ann, <a href="{URL}">CC BY-NC-ND</a></figcaption></figure>',
        "<p>A sonnet may not be changed lightly.</p>",
        LISTED,
        f'<p>Some packages are under the MIT license, the BSD license or <a href="{ZERO}">CC0</a>.</p>',
        "<p>Unlike other files, all those files must not be changed by hand.</p>",
    ],
)
def test_what_a_lesson_says_of_others_works_is_not_its_licence(page: str) -> None:
    assert licences.find([page], pages=True) == []


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("<footer>© 2020 A School. All rights reserved.</footer>", "All rights reserved"),
        ("<p>This course is in the public domain.</p>", "Public domain"),
        ("<p>Licensed under CC BY 4.0</p>", "CC BY 4.0"),
        (f'<link rel="license" href="{URL}">', "CC BY-NC-ND 4.0"),
        ("<p>This book is under the Creative Commons license CC BY-SA 3.0 and the GPL.</p>", "CC BY-SA 3.0"),
        (
            "<p>This manual is free; change it under the terms of the GNU General Public License.</p>",
            "GNU General Public License",
        ),
    ],
)
def test_what_a_page_says_of_itself_is_its_licence(page: str, name: str) -> None:
    assert [licence.name for licence in licences.find([page], pages=True)] == [name]


def test_what_forbids_counts_before_what_allows_and_that_before_what_is_unclear() -> None:
    found = licences.find(["All rights reserved.", "CC BY 4.0", "CC BY-ND 4.0"])
    assert [licence.verdict for licence in found] == ["allowed", "forbidden", "unclear"]
    assert licences.decisive(found) == found[1]
    assert licences.decisive(found[::2]) == found[0]
    assert licences.decisive([]) is None


def test_a_licence_named_with_and_without_its_version_is_one() -> None:
    assert [each.name for each in licences.find(["CC BY-SA (https://creativecommons.org/licenses/by-sa/3.0/)"])] == [
        "CC BY-SA 3.0"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>© 2011 John Guttag</p>", "© 2011 John Guttag"),
        ("&copy; 2001-2004, Ann Lee", "© 2001-2004, Ann Lee"),
        ("Please cite as: A. Lee, Cells, 2020", "Please cite as: A. Lee, Cells, 2020"),
        ("Attribution: Khan Lee", "Attribution: Khan Lee"),
        ("COPYRIGHT 2001 by Ann Lee", "COPYRIGHT 2001 by Ann Lee"),
        ("© 李明", "© 李明"),
        ("© 2020 Ann Lee Copyright © 2021 Bo Li", "© 2020 Ann Lee"),
        ("… by Lewis Carroll. U.S. copyright law means that no one owns a copyright in these works", ""),
        ("Check that copyright seems correct and complete.", ""),
        ("The copyright files are maintained by 2 people.", ""),
        ("Nobody said anything.", ""),
    ],
)
def test_whose_work_it_is_is_found(text: str, expected: str) -> None:
    assert attributions.attribution([text]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023, Developer's Reference Team", "© 2023, Developer's Reference Team"),
        ("2022, 1997-1998 Ian Jackson, The Policy List", "© 2022, 1997-1998 Ian Jackson, The Policy List"),
        ("Copyright Jane Doe", "Copyright Jane Doe"),
        ("Public domain in the USA.", ""),
    ],
)
def test_a_field_for_rights_needs_no_sign_and_a_lesson_does(text: str, expected: str) -> None:
    assert attributions.attribution([text]) == expected
    assert attributions.attribution([text], pages=True) == ""


@pytest.mark.slow
def test_time_grows_with_the_length_only() -> None:
    for text in [
        "Creative Commons Attribution " * 10_000,
        "© 2020 " * 30_000,
        "2020, " * 30_000,
        "<" * 200_000,
        "this work " * 20_000,
    ]:
        started = time.process_time()
        licences.find([text])
        licences.find([text], pages=True)
        attributions.attribution([text])
        attributions.attribution([f"2020, {text}"], pages=True)
        assert time.process_time() - started < 5, text[:20]


def test_the_whole_text_of_a_gnu_licence_forbids_nothing() -> None:
    text = """<p>GNU\u00a0Free\u00a0Documentation License<br> Version 1.2, November 2002</p>
    <p>Everyone is permitted to copy and distribute verbatim copies<br> of this license document, but changing it is not
    allowed.</p>
    <p>Such a section may not be included in the Modified Version. It must not be altered or modified.</p>"""
    (found,) = licences.find([text])
    assert (found.name, found.verdict) == ("GNU Free Documentation License", "allowed")
