"""A sentence as it was written to the sentence as it is spoken."""

from __future__ import annotations

from workers.text import (
    lexicon,
    normalize_abbreviations,
    normalize_code,
    normalize_dates,
    normalize_math,
    normalize_money,
    normalize_numbers,
    normalize_roman,
    normalize_symbols,
    normalize_times,
    normalize_units,
    normalize_web,
    normalize_years,
)
from workers.text.held import Held
from workers.text.rules import Rule, apply

# The order is the precedence: a form that contains another comes first ("3/4/2025" before "3/4").
RULES: tuple[Rule, ...] = (
    *normalize_web.RULES,
    *normalize_code.RULES,
    *normalize_dates.RULES,
    *normalize_times.RULES,
    *normalize_times.PHONES,
    *normalize_money.RULES,
    *normalize_years.RULES[:4],
    *normalize_roman.RULES,
    *normalize_units.RULES,
    *normalize_abbreviations.RULES,
    *normalize_years.RULES[4:],
    *normalize_numbers.ORDINALS,
    *normalize_symbols.RULES,
    *normalize_math.RULES,
    *normalize_numbers.RANGES,
    *normalize_numbers.RULES,
    *normalize_symbols.LAST,
)
CLASSES = frozenset(rule.name for rule in RULES)


def hold(sentence: str, held: Held, *, reads: frozenset[str], entries: lexicon.Lexicon) -> str:
    """The sentence with everything whose reading the lexicon or a rule settles held."""
    return apply(RULES, lexicon.apply(sentence, entries, held), held, reads)


def spoken(part: str, *spans: Held) -> str:
    """A part of a held sentence as it is spoken."""
    text = normalize_symbols.plain(part)
    for held in spans:
        text = held.spoken(text)
    return normalize_symbols.tidy(text)
