"""Words of programs inside prose: names, calls, files, flags, operators; and versions."""

from __future__ import annotations

import re

from workers.text import numerals
from workers.text.rules import DIGITS, INNER_DOT, Rule, alternatives

_FILE_ENDINGS = alternatives(
    "py pyi js jsx ts tsx json jsonl csv tsv txt md html htm css scss java cpp hpp c h sh bash yml yaml toml ini cfg "
    "xml pdf doc docx xls xlsx ppt pptx png jpg jpeg gif svg bmp mp3 mp4 wav flac ogg zip tar gz exe dll ipynb sql rb "
    "rs go php log lock env bin dat db sqlite onnx".split()
)
_MODULES = alternatives("os sys np pd plt math self this console window document random json re time numpy".split())
_PROGRAMS = alternatives(
    "Python Django Flask Node Node.js Ubuntu Debian Fedora PHP Ruby Rails Java Go Rust Postgres PostgreSQL MySQL "
    "SQLite Linux Android iOS macOS Windows Chrome Firefox Safari Celery Redis Docker Kubernetes TypeScript "
    "JavaScript Bash Git pip version Version release Release".split()
)
# Two upper halves: toLowerCase, MyClass. Not McDonald, nor what stands alone in capitals at the end (macOS).
_CAMEL = re.compile(r"(?<![\w.@#/'’-])(?!Ma?c[A-Z])(?:[a-z]{2,30}|[A-Z][a-z]{1,30})(?:[A-Z][a-z]{1,30}){1,6}(?![\w'’])")
# Names that are read as they are.
_NAMES = frozenset(
    "JavaScript TypeScript YouTube GitHub LinkedIn PayPal WhatsApp PowerPoint WordPress MacBook DeepMind LaTeX".split()
)
_HUMP = re.compile(r"[A-Z]?[a-z]+")
_OPERATORS = {
    "===": "triple equals", "==": "equals equals", "!==": "is not equal to", "!=": "is not equal to",
    "<=": "is less than or equal to", ">=": "is greater than or equal to", "+=": "plus equals", "-=": "minus equals",
    "*=": "times equals", "/=": "divided equals", "=>": "arrow", "->": "arrow", "&&": "and", "||": "or",
    "++": "plus plus", "::": "colon colon", ":=": "is set to", "<-": "arrow",
}  # fmt: skip
_KEYS = re.compile(r"(?<!\w)(?:(?:Ctrl|Control|Cmd|Command|Alt|Option|Shift|Fn|Win)\+){1,3}\w{1,8}(?!\w)")
# What stands in the brackets of a plural or of a chemical valence is no argument.
_NO_ARGUMENT = frozenset("s es ies d ed ly r ing e I II III IV V VI VII".split())


_SUPERSCRIPT = re.compile("[²³]")


def _power(match: re.Match[str]) -> str:
    return " squared" if match[0] == "²" else " cubed"


def _snake(match: re.Match[str]) -> str:
    return " ".join(part for part in match[0].split("_") if part).lower()


def _camel(match: re.Match[str]) -> str | None:
    return None if match[0] in _NAMES else " ".join(_HUMP.findall(match[0])).lower()


def _call(match: re.Match[str]) -> str | None:
    name, arguments = match["name"], match["arguments"]
    if arguments in _NO_ARGUMENT:
        return None
    said = " ".join(_HUMP.findall(name)).lower() if _CAMEL.fullmatch(name) else name.replace("_", " ").strip()
    if not arguments:
        return said.replace(".", " dot ")
    parts = [
        numerals.number(part) if part.isdecimal() else _SUPERSCRIPT.sub(_power, part.replace("_", " "))
        for part in arguments.split(",")
    ]
    return f"{said.replace('.', ' dot ')} of {', '.join(part.strip() for part in parts)}"


def _path(match: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[._/~-]", _path_mark, match[0])).strip()


def _path_mark(match: re.Match[str]) -> str:
    return {".": " dot ", "/": " slash ", "_": " ", "~": " home ", "-": " "}[match[0]]


def _dotted(match: re.Match[str]) -> str:
    name = match["name"]
    said = " ".join(_HUMP.findall(name)).lower() if _CAMEL.fullmatch(name) else re.sub(r"[_-]", " ", name)
    return f"{said.replace('.', ' dot ')} dot {match['ending']}".strip()


def _flag(match: re.Match[str]) -> str:
    name = match["name"].replace("-", " ").replace("_", " ")
    return name if match[0].startswith("--") else f"dash {name}"


def _version(match: re.Match[str]) -> str:
    head = match["head"]
    said = "version " if head in ("v", "V") else f"{head} "
    return said + " point ".join(_part(part) for part in match["number"].split("."))


def _dots(match: re.Match[str]) -> str:
    parts = match["number"].split(".")
    if len(parts) == 4:
        return " dot ".join(numerals.digits(part) for part in parts)
    return " point ".join(_part(part) for part in parts)


def _part(part: str) -> str:
    return numerals.digits(part) if part[0] == "0" or len(part) > 3 else numerals.cardinal(int(part))


def _tag(match: re.Match[str]) -> str:
    return f"{'closing ' if match['close'] else ''}{match['name']}"


RULES = (
    Rule("code", re.compile(r"(?<![\w>])<(?P<close>/?)(?P<name>[a-z][a-z0-9-]{0,20})\s?/?>(?!\w)"), _tag, "<"),
    Rule("code", re.compile(r"(?<!\w)__(?P<name>[a-z]{2,20})__(?:\(\))?"), lambda m: f"dunder {m['name']}", "_"),
    Rule(
        "code",
        re.compile(r"(?<![\w@#.])(?P<name>[A-Za-z_][\w.]{0,60})\((?P<arguments>[\w,]{0,60})\)(?!\w)"),
        _call,
        "(",
    ),
    Rule("code", re.compile(r"(?<![\w~./-])(?:~|\.{1,2})?(?:/[\w.-]{1,60}){2,12}/?(?![\w/])(?<!\.)"), _path, "/"),
    Rule(
        "code",
        re.compile(
            r"(?<![\w@./-])(?P<name>[\w-]{0,60}(?:\.[\w-]{1,30}){0,2})"
            rf"\.(?P<ending>{_FILE_ENDINGS})(?![\w-]|\.\w)"
        ),
        _dotted,
        INNER_DOT,
    ),
    Rule("code", re.compile(rf"(?<![\w.])(?:{_MODULES})(?:\.[A-Za-z_]\w{{0,40}}){{1,3}}(?!\w)"), _path, INNER_DOT),
    Rule(
        "code",
        re.compile(r"(?<![\w@#./-])_{0,2}[A-Za-z0-9]{1,60}(?:_{1,2}[A-Za-z0-9]{1,60}){1,8}_{0,2}(?!\w)"),
        _snake,
        "_",
    ),
    Rule("code", re.compile(r"(?<![\w-])--(?P<name>[A-Za-z][\w-]{1,40})"), _flag, "-"),
    Rule("code", re.compile(r"(?<=\s)-(?P<name>[A-Za-z])(?![\w'’])"), _flag, "-"),
    Rule(
        "code",
        _KEYS,
        lambda match: match[0].replace("Ctrl", "Control").replace("Cmd", "Command").replace("+", " "),
        "+",
    ),
    Rule("code", _CAMEL, _camel, ""),
    Rule(
        "code",
        re.compile(rf"(?<![=<>!+*/:&|-])(?:{alternatives(_OPERATORS)})(?![=<>!+*/:&|-])"),
        lambda match: f" {_OPERATORS[match[0]]} ",
        "=>+&|:<",
    ),
    Rule(
        "version",
        re.compile(
            rf"(?<![\w.])(?P<head>[vV](?=[0-9])|(?:{_PROGRAMS})(?=\s))"
            r"\s?(?P<number>[0-9]{1,4}(?:\.[0-9]{1,4}){1,3})(?![\w]|\.[0-9])"
        ),
        _version,
        DIGITS,
        ".vV",
    ),
    Rule(
        "version",
        re.compile(r"(?<![\w.])(?P<number>[0-9]{1,4}(?:\.[0-9]{1,4}){2,3})(?![\w]|\.[0-9])"),
        _dots,
        DIGITS,
        INNER_DOT,
    ),
)
