"""Archives as the world makes them, one of each format, with their odd corners."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from workers.importers import formats
from workers.importers.archive import LIMITS, Limits
from workers.importers.draft import Draft

Content = str | bytes

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
  <rootfiles><rootfile full-path="{package}" media-type="application/oebps-package+xml"/></rootfiles>
</container>"""


def read(path: Path, *, name: str | None = None, media_type: str | None = None, limits: Limits = LIMITS) -> Draft:
    """The draft of a file or folder."""
    return formats.read(path, name or path.name, media_type, lambda done: None, limits=limits)


def zipped(path: Path, files: Mapping[str, Content]) -> Path:
    """A zip of these files; ``mimetype`` is stored as EPUB wants it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            packing = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, packing)
    return path


def spread(folder: Path, files: Mapping[str, Content]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def outline(draft: Draft) -> list[tuple[int, str]]:
    """Levels and titles of the sections."""
    return [(section.level, section.title) for section in draft.sections]


def xhtml(title: str, body: str) -> str:
    """A page as books have it."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>{title}</title></head><body>{body}</body></html>'
    )


# --- EPUB 3 ----------------------------------------------------------------------------------------------------------

OPF_3 = """<?xml version="1.0" encoding="UTF-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en"
    prefix="cc: http://creativecommons.org/ns#">
  <metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
    <dc:identifier id="id">urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427</dc:identifier>
    <dc:title>Tides &amp; Currents</dc:title><dc:language>en-GB</dc:language>
    <dc:creator>Ada Marsh</dc:creator><dc:creator>Ben Shoal</dc:creator>
    <dc:description>&lt;p&gt;How the sea &lt;b&gt;moves&lt;/b&gt;.&lt;/p&gt;</dc:description>
    <dc:rights>Copyright 2020 Ada Marsh</dc:rights>
    <meta property="dcterms:modified">2020-01-01T00:00:00Z</meta>
    <link rel="cc:license" href="https://creativecommons.org/licenses/by/4.0/"/>
  </metadata>
  <manifest>
    <item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
    <item id="cover" href="cover.xhtml" media-type="application/xhtml+xml"/>
    <item id="legal" href="legal.xhtml" media-type="application/xhtml+xml"/>
    <item id="one" href="Text/Chapter%201%20%C3%A9t%C3%A9.xhtml" media-type="application/xhtml+xml"/>
    <item id="two" href="Text/two.xhtml" media-type="application/xhtml+xml"/>
    <item id="more" href="Text/two_more.xhtml" media-type="application/xhtml+xml"/>
    <item id="notes" href="Text/notes.xhtml" media-type="application/xhtml+xml"/>
    <item id="map" href="map.svg" media-type="image/svg+xml" fallback="maptext"/>
    <item id="maptext" href="map.xhtml" media-type="application/xhtml+xml"/>
    <item id="gone" href="Text/gone.xhtml" media-type="application/xhtml+xml"/>
    <item id="wave" href="Images/wave.png" media-type="image/png"/>
  </manifest>
  <spine>
    <itemref idref="cover"/><itemref idref="nav"/><itemref idref="legal"/><itemref idref="one"/><itemref idref="two"/>
    <itemref idref="more"/><itemref idref="notes" linear="no"/><itemref idref="map"/><itemref idref="gone"/>
  </spine>
</package>"""

NAV_3 = xhtml(
    "Contents",
    '<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>'
    '<li><a href="Text/Chapter%201%20%C3%A9t%C3%A9.xhtml">1. Summer <i>tides</i></a></li>'
    '<li><span>Part Two</span><ol><li><a href="Text/two.xhtml#a">2. Currents</a>'
    '<ol><li><a href="Text/two.xhtml#b">2.1 Warm ones</a></li></ol></li></ol></li>'
    '<li><a href="map.xhtml">The map</a></li></ol></nav>'
    '<nav epub:type="landmarks" hidden=""><ol><li><a epub:type="cover" href="cover.xhtml">Cover</a></li>'
    '<li><a epub:type="copyright-page" href="legal.xhtml">Rights</a></li>'
    '<li><a epub:type="bodymatter" href="Text/two.xhtml#a">Begin</a></li></ol></nav>'
    '<nav epub:type="page-list"><ol><li><a href="Text/two.xhtml#p1">1</a></li></ol></nav>',
)


def epub_3() -> dict[str, Content]:
    """A book with a nav, percent signs in its links, a page in UTF-16, and everything that is passed over."""
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER.format(package="OEBPS/package.opf"),
        "OEBPS/package.opf": OPF_3,
        "OEBPS/nav.xhtml": NAV_3,
        "OEBPS/cover.xhtml": xhtml("Cover", "<p>Tides and Currents, the cover</p>"),
        "OEBPS/legal.xhtml": xhtml("Rights", "<p>This work is under CC BY 4.0.</p>"),
        "OEBPS/Text/Chapter 1 été.xhtml": xhtml("One", "<h1>Summer</h1><p>The moon pulls.</p>")
        .replace('encoding="utf-8"', 'encoding="utf-16"')
        .encode("utf-16"),
        "OEBPS/Text/two.xhtml": xhtml(
            "Two",
            '<section><h1><a id="a"></a>Currents</h1><p>Water flows.</p></section>'
            '<section id="b"><h2>Warm ones</h2><p>The Gulf Stream.</p></section>',
        ),
        "OEBPS/Text/two_more.xhtml": xhtml("Tides and Currents", "<p>It goes on to the north.</p>"),
        "OEBPS/Text/notes.xhtml": xhtml("Notes", "<p>A note beside the text.</p>"),
        "OEBPS/map.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "OEBPS/map.xhtml": xhtml("Map", "<p>North is at the top.</p>"),
        "OEBPS/Images/wave.png": b"\x89PNG\r\n\x1a\n",
    }


# --- EPUB 2 ----------------------------------------------------------------------------------------------------------

OPF_2 = """<?xml version="1.0" encoding="UTF-16"?>
<package xmlns="http://www.idpf.org/2007/opf" version="2.0" unique-identifier="id">
  <metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">
    <dc:title>Die Gezeiten</dc:title><dc:language>de</dc:language><dc:creator opf:role="aut">Jürgen Watt</dc:creator>
    <dc:rights>Public domain</dc:rights><meta name="cover" content="img"/>
  </metadata>
  <manifest>
    <item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>
    <item id="c" href="cover.html" media-type="application/xhtml+xml"/>
    <item id="book" href="Buch.HTML" media-type="application/xhtml+xml"/>
  </manifest>
  <spine toc="ncx"><itemref idref="c"/><itemref idref="book"/></spine>
  <guide><reference type="cover" title="Umschlag" href="cover.html"/></guide>
</package>"""

NCX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">
<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/" version="2005-1"><head/><docTitle><text>Die Gezeiten</text></docTitle>
<navMap>
  <navPoint id="n1" playOrder="1"><navLabel><text>Ebbe</text></navLabel><content src="buch.html#ebbe"/>
    <navPoint id="n2" playOrder="2"><navLabel><text>Watt</text></navLabel><content src="buch.html#watt"/></navPoint>
  </navPoint>
  <navPoint id="n3" playOrder="3"><navLabel><text>Flut</text></navLabel><content src="buch.html#flut"/></navPoint>
</navMap></ncx>"""


def epub_2() -> dict[str, Content]:
    """A book with an NCX into one page, a package in UTF-16, a guide, and names in another case."""
    return {
        "mimetype": "application/epub+zip\n",
        "META-INF/container.xml": CONTAINER.format(package="package.opf"),
        "package.opf": OPF_2.encode("utf-16"),
        "toc.ncx": NCX,
        "cover.html": xhtml("Umschlag", "<p>Umschlag</p>"),
        "buch.html": xhtml(
            "Buch",
            "<p>Vorwort des Autors.</p><h1 id='ebbe'>Ebbe</h1><p>Das Wasser geht.</p><h2 id=\"watt\">Watt</h2>"
            '<p>Der Boden.</p><h1><a name="flut">Flut</a></h1><p>Das Wasser kommt.</p>',
        ),
    }


# --- Common Cartridge ------------------------------------------------------------------------------------------------

CC_NUMBERS = {"1.1": "1", "1.2": "2", "1.3": "3"}

MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<manifest identifier="M1" xmlns="http://www.imsglobal.org/xsd/imsccv1p{n}/imscp_v1p1"
    xmlns:lom="http://ltsc.ieee.org/xsd/imsccv1p{n}/LOM/resource"
    xmlns:lomimscc="http://ltsc.ieee.org/xsd/imsccv1p{n}/LOM/manifest">
  <metadata><schema>IMS Common Cartridge</schema><schemaversion>1.{n}.0</schemaversion>
    <lomimscc:lom><lomimscc:general>
      <lomimscc:title><lomimscc:string language="en-US">Soils</lomimscc:string></lomimscc:title>
      <lomimscc:language>en</lomimscc:language>
      <lomimscc:description><lomimscc:string>What grows and why.</lomimscc:string></lomimscc:description>
    </lomimscc:general>
    <lomimscc:lifeCycle><lomimscc:contribute><lomimscc:role><lomimscc:value>author</lomimscc:value></lomimscc:role>
      <lomimscc:entity>BEGIN:VCARD VERSION:3.0 FN:Cleo Loam N:Loam;Cleo EMAIL:c@example.org END:VCARD</lomimscc:entity>
    </lomimscc:contribute></lomimscc:lifeCycle>
    <lomimscc:rights>
      <lomimscc:copyrightAndOtherRestrictions><lomimscc:value>yes</lomimscc:value></lomimscc:copyrightAndOtherRestrictions>
      <lomimscc:description><lomimscc:string>CC Attribution Share Alike - http://creativecommons.org/licenses/by-sa/4.0</lomimscc:string></lomimscc:description>
    </lomimscc:rights></lomimscc:lom></metadata>
  <organizations><organization identifier="O1" structure="rooted-hierarchy"><item identifier="root">
    <item identifier="i1"><title>Unit 1</title>
      <item identifier="i2" identifierref="R1"><title>Sand</title></item>
      <item identifier="i3" identifierref="R2"><title>A map of soils</title></item>
      <item identifier="i4" identifierref="R3"><title>What do you see?</title></item>
      <item identifier="i5" identifierref="R4"><title>Quiz</title></item>
      <item identifier="i6" identifierref="R1"><title>Sand again</title></item>
      <item identifier="i7" identifierref="R5" isvisible="false"><title>Answers</title></item>
      <item identifier="i8" identifierref="R6"><title>For teachers</title></item>
      <item identifier="i9" identifierref="R7"><title>Lost page</title></item>
      <item identifier="i10" identifierref="R9"><title>Slides</title></item>
    </item>
    <item identifier="i11"><title>Unit 2</title><item identifier="i12"><title>Deeper</title>
      <item identifier="i13" identifierref="R8"/></item></item>
  </item></organization></organizations>
  <resources>
    <resource identifier="R1" type="webcontent" href="pages/sand%20and%20silt.html">
      <file href="pages/sand%20and%20silt.html"/></resource>
    <resource identifier="R2" type="imswl_xmlv1p{n}"><file href="links/map.xml"/></resource>
    <resource identifier="R3" type="imsdt_xmlv1p{n}"><file href="topics/see.xml"/></resource>
    <resource identifier="R4" type="imsqti_xmlv1p2/imscc_xmlv1p{n}/assessment"><file href="quiz/quiz.xml"/></resource>
    <resource identifier="R5" type="webcontent" href="pages/answers.html"><file href="pages/answers.html"/></resource>
    <resource identifier="R6" type="webcontent" href="pages/answers.html"><metadata><lom:lom><lom:educational>
      <lom:intendedEndUserRole><lom:value>Instructor</lom:value></lom:intendedEndUserRole></lom:educational></lom:lom>
      </metadata><file href="pages/answers.html"/></resource>
    <resource identifier="R7" type="webcontent" href="pages/lost.html"/>
    <resource identifier="R8" type="webcontent" xml:base="pages/" href="clay.html"><file href="clay.html"/></resource>
    <resource identifier="R9" type="webcontent" href="slides.pdf"><file href="slides.pdf"/></resource>
  </resources>
</manifest>"""


def cartridge(version: str = "1.3") -> dict[str, Content]:
    """A cartridge with nested items, a link, a discussion, a quiz, and hidden, doubled and lost items."""
    n = CC_NUMBERS[version]
    return {
        "imsmanifest.xml": MANIFEST.replace("{n}", n),
        "pages/sand and silt.html": "<html><head><title>x</title></head><body><p>Sand drains.</p>"
        '<img src="$IMS-CC-FILEBASE$/grain.png" alt="grain"></body></html>',
        "pages/answers.html": "<p>Secret answers.</p>",
        "pages/clay.html": "<html><head><title>Clay</title></head><body><p>Clay holds water.</p></body></html>",
        "web_resources/grain.png": b"\x89PNG",
        "links/map.xml": f'<webLink xmlns="http://www.imsglobal.org/xsd/imsccv1p{n}/imswl_v1p{n}"><title>Map</title>'
        '<url href="https://example.org/soils?a=1&amp;b=2" target="_blank"/></webLink>',
        "topics/see.xml": f'<topic xmlns="http://www.imsglobal.org/xsd/imsccv1p{n}/imsdt_v1p{n}"><title>See</title>'
        '<text texttype="text/html">&lt;p&gt;Look at &lt;b&gt;your&lt;/b&gt; garden.&lt;/p&gt;</text></topic>',
        "quiz/quiz.xml": "<questestinterop/>",
        "slides.pdf": b"%PDF-1.7",
    }


# --- MIT OpenCourseWare ----------------------------------------------------------------------------------------------


def _ocw_page(title: str, main: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><title>{title} | Waves | MIT OpenCourseWare</title></head><body>'
        '<div id="mobile-course-nav"><a href="../../pages/download/index.html">Download</a></div>'
        f'<h2>{title}</h2><article class="content"><main id="course-content-section">{main}</main></article>'
        "<footer>About OCW</footer></body></html>"
    )


def _nav_item(href: str, title: str, below: str = "") -> str:
    return (
        f'<li class="course-nav-list-item"><div><span><a class="nav-link" href="{href}">{title}</a></span></div>'
        f'<ul class="course-nav-child-nav">{below}</ul></li>'
    )


def ocw(root: str = "") -> dict[str, Content]:
    """A course as the site has given it since 2021."""
    nav = _nav_item("./pages/syllabus/index.html", "Syllabus") + _nav_item(
        "./pages/readings/index.html", "Readings", _nav_item("./pages/readings/week-1/index.html", "Week 1")
    )
    files: dict[str, Content] = {
        "data.json": json.dumps(
            {
                "course_title": "Waves",
                "course_description": "Waves *everywhere*.",
                "course_description_html": "<p>Waves <em>everywhere</em>.</p>",
                "site_uid": "554fc3fa-2f4b-4a94-87f4-19e51ae36920",
                "instructors": [
                    {"first_name": "Dora", "last_name": "Swell", "salutation": "Prof.", "title": "Prof. Dora Swell"},
                    {"first_name": "Emil", "last_name": "Ripple", "middle_initial": "T", "salutation": "Dr."},
                ],
                "topics": [["Science", "Physics"]],
                "primary_course_number": "8.03",
                "term": "Fall",
                "year": "2022",
                "course_image_metadata": {"license": "https://creativecommons.org/licenses/by-nd/4.0/"},
            }
        ),
        "content_map.json": json.dumps({"uid": "/courses/waves/pages/syllabus/"}),
        "index.html": f'<html lang="en"><body><nav id="course-nav"><ul>{nav}</ul></nav><main>Home</main>'
        '<footer><a rel="license" href="https://creativecommons.org/licenses/by-nc-sa/4.0/">CC BY-NC-SA</a></footer>'
        "</body></html>",
        "pages/syllabus/index.html": _ocw_page("Syllabus", "<h3>Course meeting times</h3><p>Twice a week.</p>"),
        "pages/syllabus/data.json": json.dumps({"title": "Syllabus", "content": "Twice a week."}),
        "pages/readings/index.html": _ocw_page("Readings", "<p>Read these.</p>"),
        "pages/readings/week-1/index.html": _ocw_page("Week 1", ""),
        "pages/readings/week-1/data.json": json.dumps({"title": "Week 1", "content": "Chapter one of Pain."}),
        "pages/unlisted/index.html": _ocw_page("Unlisted", "<h2>Calendar</h2><p>Week by week.</p>"),
        "pages/download/index.html": _ocw_page("Download", "<p>Download this course.</p>"),
        "resources/lecture-1/index.html": _ocw_page("Lecture 1", "<p>A video.</p>"),
        "resources/lecture-1/data.json": json.dumps({"title": "Lecture 1", "resourcetype": "Video"}),
        "resources/notes/data.json": json.dumps({"title": "Notes", "resourcetype": "Document"}),
        "static_resources/notes.pdf": b"%PDF-1.7",
    }
    return {root + name: content for name, content in files.items()}


def _old_page(title: str, text: str) -> str:
    return (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "x.dtd"><html><head>'
        f"<title>{title} | Optics | Physics | MIT OpenCourseWare</title>"
        '<meta name="Author" content="Fay Lens"><meta name="Description" content="Light and glass."></head><body>'
        '<div id="course_nav"><ul>'
        '<li class="tlp_links"><a href="../../contents/index.htm">Course Home</a></li>'
        '<li class="tlp_links"><a href="../../contents/syllabus/index.htm">Syllabus</a></li>'
        '<li class="tlp_links"><a href="../../contents/lenses/index.htm">Lenses</a><ul>'
        '<li><a href="../../contents/lenses/thin.htm">Thin lenses</a></li></ul></li>'
        '<li class="tlp_links"><a href="../../contents/download-course-materials/index.htm">Download</a></li>'
        "</ul></div>"
        f'<main id="course_inner_section"><p class="sc_nav">&laquo; Previous | Next &raquo;</p><h1>{title}</h1>{text}'
        '</main><div id="footer"><a href="https://creativecommons.org/licenses/by-nc-sa/4.0/">License</a></div>'
        "</body></html>"
    )


def ocw_legacy(*, manifest: bool) -> dict[str, Content]:
    """A course as the site gave it before 2021, with its manifest or without."""
    files: dict[str, Content] = {
        "contents/index.htm": _old_page("Home", "<p>Welcome.</p>").replace("../../contents/", "../contents/"),
        "contents/syllabus/index.htm": _old_page("Syllabus", "<p>Four problem sets.</p>"),
        "contents/lenses/index.htm": _old_page("Lenses", "<p>Glass bends light.</p>"),
        "contents/lenses/thin.htm": _old_page("Thin lenses", "<p>One over f — caf\xe9.</p>").encode("cp1252"),
        "contents/download-course-materials/index.htm": _old_page("Download", "<p>Download.</p>"),
        "common/css/site.css": "p {}",
    }
    if manifest:
        files["imsmanifest.xml"] = (
            '<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1"><metadata><schema>IMS Content</schema><lom '
            'xmlns="http://www.imsglobal.org/xsd/imsmd_v1p2"><general><title><langstring xml:lang="en">Optics I'
            "</langstring></title></general><rights><description><langstring>CC BY-NC-SA 3.0</langstring></description>"
            '</rights></lom></metadata><organizations default="O"><organization identifier="O"><item identifier="a" '
            'identifierref="r1"><title>Syllabus</title></item><item identifier="b" identifierref="r2"><title>Lenses'
            "</title></item></organization></organizations><resources>"
            '<resource identifier="r1" type="webcontent" href="contents/syllabus/index.htm"/>'
            '<resource identifier="r2" type="webcontent" href="contents/lenses/index.htm"/></resources></manifest>'
        )
    return {f"8-optics/{name}": content for name, content in files.items()}
