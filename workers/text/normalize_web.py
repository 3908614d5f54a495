"""Addresses: of pages, of people, and the names and tags of social pages."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.held import HELD
from workers.text.rules import INNER_DOT, Rule, alternatives

# Endings that are no English words; "in", "it", "is" and "me" would catch a forgotten space ("stop.it").
_ENDINGS = alternatives(
    "com org net edu gov mil int io dev ai app co uk de fr eu us ca au nz info biz tv ly jp ch es nl se pl".split()
)
_HOST = rf"(?:[\w-]{{1,63}}\.){{1,6}}(?:{_ENDINGS})(?![\w-])"
_LINK = re.compile(
    rf"(?<![\w@.:/-])(?:(?P<scheme>https?|ftp)://(?P<anywhere>[^\s/<>\"“”'()\[\],;{HELD}]{{1,100}})|(?P<host>{_HOST}))"
    rf"(?P<port>:[0-9]{{2,5}})?(?P<path>/[^\s<>\"“”()\[\]{HELD}]{{0,2000}})?",
    re.IGNORECASE,
)
_MAIL = re.compile(r"(?<![\w.+-])(?:mailto:)?(?P<who>[\w.+-]{1,64})@(?P<where>[\w-]{1,63}(?:\.[\w-]{1,63}){1,6})(?!\w)")
_NAMED = re.compile(r"(?<![\w@.])@(?P<name>[A-Za-z]\w{1,30})")
_TAGGED = re.compile(r"(?<![\w#&])#(?P<name>[A-Za-z]\w{1,40})")
# Nobody listens to more of an address than this: of a longer one the site is said.
_LISTENED_CHARACTERS = 70
_SPELT_CHARACTERS = 250
_SAID = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark", "=": "equals"}
_SAID |= {"&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde", "@": "at"}
_PART = re.compile(r"[0-9]+|[^\W\d_]+|.")


def spell(address: str) -> str:
    """An address as it is dictated: "example dot com slash about"."""
    return " ".join(_say(part) for part in _PART.findall(address)).strip()


def _say(part: str) -> str:
    if part.isascii() and part.isdigit():
        return numerals.digits(part) if len(part) > 2 or part[0] == "0" else numerals.number(part)
    return _SAID.get(part, part if part.isalpha() else "")


def _link(match: re.Match[str]) -> str:
    everything = match[0]
    # The marks after an address belong to its sentence.
    address = everything.rstrip(".,;:!?'’*_")
    site = re.sub(r"(?i)^(?:[a-z]+://)?(?:www\.)?", "", address).rstrip("/")
    if len(site) > _LISTENED_CHARACTERS:
        site = site.split("/")[0][:_LISTENED_CHARACTERS]
    said = spell(site)
    return (said if len(said) <= _SPELT_CHARACTERS else "a link") + everything[len(address) :]


def _mail(match: re.Match[str]) -> str:
    return f"{spell(match['who'])} at {spell(match['where'])}"


RULES = (
    Rule("web", _MAIL, _mail, "@"),
    Rule("web", _LINK, _link, INNER_DOT),
    Rule("web", re.compile(rf"(?<![\w@.:/-])https?://[^\s{HELD}]{{1,2000}}", re.IGNORECASE), _link, ":"),
    Rule("web", _NAMED, lambda match: f"at {spell(match['name'])}", "@"),
    Rule("web", _TAGGED, lambda match: f"hashtag {spell(match['name'])}", "#"),
)
