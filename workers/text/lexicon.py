"""How a course or a user wants words said, before any rule of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from workers.text.held import Held

_RUN = re.compile(r"\w+")
# More would be no reading of a word, and no piece could hold it.
LONGEST_READING = 200


class Lexicon:
    """Entries by their first word, the longest first."""

    def __init__(self, entries: Mapping[str, str] | None = None) -> None:
        self.by_word: dict[str, list[tuple[int, str, bool, str]]] = {}
        for written, said in (entries or {}).items():
            written = " ".join(written.split())
            first = _RUN.search(written)
            if first is None or not said.strip() or max(len(written), len(said)) > LONGEST_READING:
                continue
            # Capitals beyond the first letter are meant: "IT" is not "it".
            exact = written[1:] != written[1:].lower()
            entry = (first.start(), written if exact else written.lower(), exact, said.strip())
            self.by_word.setdefault(first[0].lower(), []).append(entry)
        for found in self.by_word.values():
            found.sort(key=lambda entry: -len(entry[1]))


def apply(sentence: str, entries: Lexicon, held: Held) -> str:
    """The sentence with every entry that occurs in it as whole words held; of several the longest."""
    if not entries.by_word:
        return sentence
    parts: list[str] = []
    done = 0
    for run in _RUN.finditer(sentence):
        if run.start() < done:
            continue
        for before, wanted, exact, said in entries.by_word.get(run[0].lower(), ()):
            start, end = run.start() - before, run.start() - before + len(wanted)
            written = sentence[start:end] if start >= done else ""
            if (written if exact else written.lower()) == wanted and _whole(sentence, start, end):
                parts += [sentence[done:start], held.hold(written, reading(written, said))]
                done = end
                break
    return "".join([*parts, sentence[done:]])


def _whole(sentence: str, start: int, end: int) -> bool:
    inside = (sentence[start - 1 : start] + sentence[start], sentence[end - 1] + sentence[end : end + 1])
    return not any(len(pair) == 2 and all(_RUN.match(character) for character in pair) for pair in inside)


def reading(written: str, said: str) -> str:
    """The spoken form of an entry: its words, or the written word with its IPA in the inline form."""
    if len(said) > 2 and said[0] == said[-1] == "/":
        return phonemes(written, said[1:-1])
    return said


def phonemes(written: str, ipa: str) -> str:
    """``[word](/ipa/)``, free of what would end it early."""
    word = " ".join(re.sub(r"[\[\]()/]", " ", written).split())
    sounds = " ".join(re.sub(r"[\[\]()/]", " ", ipa).split())
    return f"[{word}](/{sounds}/)" if word and sounds else word
