"""What is nearly the word but is not: the clips that a detector must learn to leave alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from workers.audio.clip import Clip, faded
from workers.errors import BadInput
from workers.wakeword.pronounce import Dictionary, Phones, dictionary, plain
from workers.wakeword.recordings import frame_levels
from workers.wakeword.samples import Sample
from workers.wakeword.spectrum import RATE_HZ

# Nearer than this (one sound swapped for one that accents swap), it is the word as somebody says it.
_SAME = 0.5
# The farthest word that can still be mistaken, in costs of ``pronounce.distance`` for each sound of the phrase.
_PER_PHONE = 0.5
# Of the words asked for, so many are the nearest there are; the rest are drawn from further out.
_NEAREST_SHARE = 0.6
_READINGS_MAX = 4
_NAMED = 6
# What a rare word's distance is raised by.
_RARE_COST = 0.5
_ENDINGS = {"s", "es", "ed", "d", "ing", "er", "ers"}
# A shorter word is in too many others.
_COMPOUND_LETTERS = 5


@dataclass(frozen=True)
class NearWord:
    """A word or phrase near the wake word.

    ``kind``: ``word`` sounds like the whole, ``phrase`` has one word of it exchanged or is two words that sound like
    it, ``part`` is some of its words. ``distance`` is that of ``pronounce.distance``; 0 for a part.
    """

    text: str
    distance: float
    kind: Literal["word", "phrase", "part"]


@dataclass(frozen=True)
class NearWords:
    """What was found: ``words`` with the nearest first, and ``warnings``, sentences for the one who trains."""

    words: tuple[NearWord, ...]
    warnings: tuple[str, ...]


def near(word: str, count: int, seed: int, words: Dictionary | None = None) -> NearWords:
    """At most ``count`` words and phrases near ``word`` (words apart by spaces); the same seed gives the same.

    Left out, with a warning: words that hold the whole of it, such as its own inflections ("computers"), and words that
    sound the same.
    """
    known = words or dictionary()
    parts = [plain(part) for part in word.split()]
    if not parts:
        raise BadInput("the wake word is empty", code="bad_wake_word")
    warnings = []
    read = [known.read(part) for part in parts]
    for part, reading in zip(parts, read, strict=True):
        if not reading.phones:
            text = f"{part!r} has no English letters: no near words were sought, only what the recordings tell."
            return NearWords((), (text,))
        if reading.guessed:
            warnings.append(f"{part!r} is in no dictionary: how it sounds was guessed from its spelling.")
    whole = [sum(phones, ()) for phones in product(*(reading.phones[:2] for reading in read))][:_READINGS_MAX]
    groups = list(_groups(parts, whole, known))
    texts = {each.text for group in groups for each in group}
    left_out = sorted(text for text in texts if _holds(text.split(), parts, known, whole))
    same = {each.text for group in groups[1:] for each in group if each.distance < _SAME}.difference(left_out)
    if left_out:
        warnings.append(f"Left out, since {word!r} is heard in them: {_named(left_out)}.")
    if other := sorted(same - {" ".join(parts)}):
        warnings.append(f"Left out, since they sound like {word!r} itself: {_named(other)}.")
    gone = {*left_out, *same, " ".join(parts)}
    kept = [[each for each in group if each.text not in gone] for group in groups]
    return NearWords(tuple(_chosen(kept, count, seed, known)), tuple(warnings))


def halves(sample: Sample) -> list[Sample]:
    """The first and the second half of a clip of the word, parted where it is quietest around its middle."""
    levels = frame_levels(sample.samples)
    first, last = (round(len(levels) * share) for share in (0.4, 0.6))
    middle = first + int(np.argmin(levels[first : last + 1]))
    at = round(middle / 100 * RATE_HZ)
    made = []
    for name, samples in (("first", sample.samples[:at]), ("second", sample.samples[at:])):
        cut = faded(Clip(samples, RATE_HZ), 0.02).samples
        made.append(replace(sample, samples=cut, label=0, source="near", text=f"{sample.text} ({name} half)"))
    return made


def _groups(parts: Sequence[str], whole: Sequence[Phones], known: Dictionary) -> Iterator[list[NearWord]]:
    """Parts of the phrase, words that sound like all of it, and phrases: a group for each word that is exchanged."""
    lengths = range(1, len(parts))
    spans = [parts[start : start + length] for length in lengths for start in range(len(parts) - length + 1)]
    yield [NearWord(" ".join(span), 0.0, "part") for span in spans]
    best: dict[str, float] = {}
    for phones in whole:
        for text, far in known.within(phones, _PER_PHONE * len(phones)).items():
            best[text] = min(far, best.get(text, far))
    yield [NearWord(text, far, "word") for text, far in _one_spelling(best, known)]
    if len(parts) == 1:
        yield list(_pairs(whole[0], known))
        return
    for place, part in enumerate(parts):
        phones = known.read(part).phones[0]
        # A short word has no near ones otherwise: "hey" and "day" differ in a third.
        limit = max(1.2, _PER_PHONE * len(phones))
        exchanges = _common_first(_one_spelling(known.within(phones, limit), known), known)[:60]
        yield [
            NearWord(" ".join([*parts[:place], text, *parts[place + 1 :]]), far, "phrase") for text, far in exchanges
        ]


def _pairs(phones: Phones, known: Dictionary) -> Iterator[NearWord]:
    """Two common words that together sound like one: "a lexus", "commute her"."""
    best: dict[str, float] = {}
    for at in range(1, len(phones)):
        sides = []
        for side in (phones[:at], phones[at:]):
            found = known.within(side, max(0.6, 0.3 * len(side)))
            common = {text: far for text, far in found.items() if text in known.common}
            sides.append(sorted(_one_spelling(common, known), key=lambda pair: (pair[1], pair[0]))[:4])
        for (left, one), (right, other) in product(*sides):
            text = f"{left} {right}"
            best[text] = min(one + other, best.get(text, one + other))
    yield from (NearWord(text, far, "phrase") for text, far in best.items())


def _one_spelling(found: Mapping[str, float], known: Dictionary) -> list[tuple[str, float]]:
    """Of words that sound the same, one: a common one if there is one."""
    spelled: dict[Phones, str] = {}
    for text in sorted(found, key=lambda text: (text not in known.common, len(text), text)):
        spelled.setdefault(known.read(text).phones[0], text)
    return [(text, found[text]) for text in spelled.values()]


def _common_first(found: Iterable[tuple[str, float]], known: Dictionary) -> list[tuple[str, float]]:
    """By distance, where rare words and names count as farther: people say them less."""
    return sorted(found, key=lambda pair: (pair[1] + (0.0 if _is_common(pair[0], known) else _RARE_COST), pair[0]))


def _is_common(text: str, known: Dictionary) -> bool:
    return all(word in known.common for word in text.split())


def _holds(texts: Sequence[str], parts: Sequence[str], known: Dictionary, whole: Sequence[Phones]) -> bool:
    """Whether all of the wake word is said in it, and more: inflections, compounds, phrases with the word."""
    if len(texts) == len(parts):
        pairs = list(zip(texts, parts, strict=True))
        return texts != parts and all(text == part or _derived(text, part, known) for text, part in pairs)
    if len(parts) == 1:
        # A pair of words in which the word is one, or that begins or ends with its very sounds and one more word.
        return any(text == parts[0] or _derived(text, parts[0], known) for text in texts)
    return False


def _derived(text: str, word: str, known: Dictionary) -> bool:
    """ "computers" and "supercomputer" of "computer", but not "joke" of "jo" """
    if text == word or word not in text:
        return False
    if text.removeprefix(word) not in _ENDINGS and len(word) < _COMPOUND_LETTERS:
        return False
    inner, outer = known.read(word).phones[0], known.read(text).phones[0]
    return any(outer[start : start + len(inner)] == inner for start in range(len(outer) - len(inner) + 1))


def _chosen(groups: Sequence[Sequence[NearWord]], count: int, seed: int, known: Dictionary) -> list[NearWord]:
    """All parts; of each other group as many, the nearest and a draw from those further out."""
    chosen = list(groups[0][:count])
    draws = np.random.default_rng(seed)
    ordered = []
    for group in groups[1:]:
        rank = {
            text: place for place, (text, _) in enumerate(_common_first(((g.text, g.distance) for g in group), known))
        }
        ordered.append(sorted(group, key=lambda each: rank[each.text]))
    # The groups with the fewest first, so that what they cannot give is given by the others.
    ordered.sort(key=len)
    for number, group in enumerate(ordered):
        share = (count - len(chosen)) // (len(ordered) - number)
        sure = round(share * _NEAREST_SHARE)
        rest = group[sure : sure + 4 * share]
        drawn = draws.permutation(len(rest))[: share - sure]
        taken = {each.text for each in chosen}
        chosen += [each for each in [*group[:sure], *(rest[place] for place in drawn)] if each.text not in taken]
    return sorted(chosen, key=lambda each: (each.distance, each.text))


def _named(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
