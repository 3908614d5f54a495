"""Tags like those of SSML in a text: what they say about its reading is kept, and they are taken out."""

from __future__ import annotations

import html
import html.entities
import re
from dataclasses import dataclass, field

from workers.text.held import MARKUP_PLANE, Held, without_private
from workers.text.lexicon import LONGEST_READING, phonemes

# Nobody means more, and a clip of silence is no speech.
LONGEST_BREAK_SECONDS = 10.0
STRENGTH_SECONDS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_DEFAULT_STRENGTH = "medium"

_ATTRIBUTE = r"\s+[\w:-]{1,40}\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')"
_MARKUP = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|(?P<comment><!--(?:(?!<!--)[\s\S])*?-->|<[?!][A-Za-z][^<>]{0,300}>)"
    rf"|<(?P<close>/?)(?P<name>[A-Za-z][\w:-]{{0,30}})(?P<attributes>(?:{_ATTRIBUTE})*)\s*(?P<alone>/?)>"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,20});)"
)
_PAIR = re.compile(r"\s([\w:-]{1,40})\s*=\s*(?:\"([^\"<>]*)\"|'([^'<>]*)')")
_TIME = re.compile(r"\s*\+?([0-9]{0,6}\.?[0-9]{1,6})\s*(ms|s)\s*")
# These stand alone, or are so often left open that one of them is a tag.
_ALONE = frozenset(
    "break br hr img mark audio speak paragraph sentence emphasis prosody phoneme sub voice lang say-as".split()
)
# What it leaves in the text: ends of paragraphs and sentences, headings and items as Markdown has them.
_OPENING = {"p": "\n\n", "li": "\n- ", "hr": "\n\n", "div": "\n\n", "ul": "\n\n", "ol": "\n\n", "tr": "\n\n"}
_OPENING |= {f"h{level}": "\n\n# " for level in range(1, 7)} | {"paragraph": "\n\n", "blockquote": "\n\n"}
_CLOSING = dict.fromkeys((*_OPENING, "table"), "\n\n") | {"li": "\n", "td": ", ", "th": ", "}
_SENTENCE = frozenset(("s", "sentence", "br"))


@dataclass
class Marked:
    """A text without its tags.

    ``breaks`` are the rests asked for, by the character that stands for each; one of no length only ends a sentence.
    """

    held: Held = field(default_factory=lambda: Held(MARKUP_PLANE))
    text: str = ""
    breaks: dict[str, float] = field(default_factory=dict)


def parse(text: str) -> Marked:
    """The text with its tags read; what is no well-formed tag stays text."""
    marked = Marked()
    text = without_private(text)
    if "<" not in text and "&" not in text:
        marked.text = text
        return marked
    tags = [tag for tag in _MARKUP.finditer(text) if tag["name"] and not tag["alone"]]
    opened = {tag["name"].lower() for tag in tags if not tag["close"]}
    closed = {tag["name"].lower() for tag in tags if tag["close"]}
    parts: list[str] = []
    waiting: list[tuple[str, int, str]] = []
    done = 0
    for tag in _MARKUP.finditer(text):
        name = (tag["name"] or "").lower()
        known = name in _ALONE or (name in opened and name in closed) or bool(tag["alone"]) or _begins(name, tag)
        if tag["code"] or (name and not known):
            continue
        parts.append(text[done : tag.start()])
        done = tag.end()
        if tag["entity"]:
            parts.append(_decoded(tag["entity"]))
        elif name in ("sub", "phoneme") and not tag["alone"]:
            _reading(marked, name, tag, parts, waiting)
        elif name:
            parts.append(_left(marked, name, tag))
    marked.text = "".join([*parts, text[done:]])
    return marked


def _begins(name: str, tag: re.Match[str]) -> bool:
    """Whether this is a paragraph nobody closed: "x<p>z" is none."""
    return name == "p" and (tag.start() == 0 or tag.string[tag.start() - 1] in " \n\t\r>.")


def _left(marked: Marked, name: str, tag: re.Match[str]) -> str:
    if name == "break":
        return _rest(marked, _seconds(_attributes(tag)))
    if name in _SENTENCE:
        return _rest(marked, 0.0)
    if name == "sup" and not tag["close"]:
        return "" if tag.string[tag.end() : tag.end() + 2] in ("st", "nd", "rd", "th") else "^"
    return (_CLOSING if tag["close"] else _OPENING).get(name, "")


def _rest(marked: Marked, seconds: float) -> str:
    character = marked.held.hold("", "")
    if character:
        marked.breaks[character] = seconds
    return character


def _reading(
    marked: Marked, name: str, tag: re.Match[str], parts: list[str], waiting: list[tuple[str, int, str]]
) -> None:
    """Remembers where a reading begins; at its end puts the words between in its keeping."""
    if not tag["close"]:
        attributes = _attributes(tag)
        said = attributes.get("alias" if name == "sub" else "ph", "")
        ipa = attributes.get("alphabet", "ipa").lower() == "ipa"
        waiting.append((name, len(parts), said if name == "sub" or ipa else ""))
    elif waiting and waiting[-1][0] == name:
        _, start, said = waiting.pop()
        written = " ".join(marked.held.written("".join(parts[start:])).split())
        if not any(map(str.isalnum, said)) or not written or max(len(said), len(written)) > LONGEST_READING:
            return
        parts[start:] = [marked.held.hold(written, said if name == "sub" else phonemes(written, said))]


def _attributes(tag: re.Match[str]) -> dict[str, str]:
    pairs = _PAIR.findall(tag["attributes"])
    return {key.lower(): without_private(html.unescape(double or single)).strip() for key, double, single in pairs}


def _seconds(attributes: dict[str, str]) -> float:
    time = _TIME.fullmatch(attributes.get("time", "").lower())
    if time:
        return min(float(time[1]) / (1000 if time[2] == "ms" else 1), LONGEST_BREAK_SECONDS)
    return STRENGTH_SECONDS.get(attributes.get("strength", "").lower(), STRENGTH_SECONDS[_DEFAULT_STRENGTH])


def _decoded(entity: str) -> str:
    """The character an entity names; what names none stays as it is."""
    if entity[1] != "#" and entity[1:] not in html.entities.html5:
        return entity
    return without_private(html.unescape(entity))
