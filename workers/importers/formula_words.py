"""How formulas are said: the words of each language that has some, signs for the others."""

from __future__ import annotations

from dataclasses import dataclass

_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
).split()
GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK_NAMES, strict=True))
GREEK |= dict(zip("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", _GREEK_NAMES, strict=True))

# LaTeX's names of signs.
COMMANDS = {name: letter for letter, name in GREEK.items() if letter.islower()}
COMMANDS |= {name.capitalize(): letter for letter, name in GREEK.items() if letter.isupper()}
COMMANDS |= {"varepsilon": "ε", "vartheta": "θ", "varphi": "φ", "varrho": "ρ", "varsigma": "ς", "ell": "ℓ"}
COMMANDS |= {
    "cdot": "·", "times": "×", "div": "÷", "pm": "±", "mp": "∓", "ast": "*", "le": "≤", "leq": "≤", "leqslant": "≤",
    "ge": "≥", "geq": "≥", "geqslant": "≥", "lt": "<", "gt": ">", "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡",
    "sim": "∼", "propto": "∝", "in": "∈", "notin": "∉", "subset": "⊂", "subseteq": "⊆", "cup": "∪", "cap": "∩",
    "infty": "∞", "partial": "∂", "nabla": "∇", "to": "→", "rightarrow": "→", "longrightarrow": "→", "Rightarrow": "⇒",
    "implies": "⇒", "iff": "⇔", "Leftrightarrow": "⇔", "leftarrow": "←", "mapsto": "→", "forall": "∀", "exists": "∃",
    "ldots": "…", "cdots": "…", "dots": "…", "prime": "′", "circ": "°", "degree": "°", "angle": "∠", "emptyset": "∅",
    "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "neg": "¬", "lnot": "¬", "ll": "≪", "gg": "≫", "mid": "|",
    "sum": "∑", "prod": "∏", "int": "∫", "hbar": "ℏ", "perp": "⊥", "parallel": "∥", "rightleftharpoons": "⇌",
}  # fmt: skip
FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf det dim ker gcd arg "
    "deg Pr".split()
)

_SIGNS = (
    "+ − - × · ÷ ± ∓ = ≠ ≈ ≡ ∼ < > ≤ ≥ ≪ ≫ ∝ ∈ ∉ ⊂ ⊆ ∪ ∩ ∞ ∂ ∇ → ← ⇒ ⇔ ⇌ ∀ ∃ … ′ ' ° ∠ ∅ ∧ ∨ ¬ | ! % * ℓ ℏ ⊥ ∥ /"
).split()
_ENGLISH = (
    "plus|minus|minus|times|times|divided by|plus or minus|minus or plus|equals|is not equal to|is approximately|"
    "is identical to|is similar to|is less than|is greater than|is at most|is at least|is much less than|"
    "is much greater than|is proportional to|in|not in|is a subset of|is a subset of|union|intersection|infinity|"
    "partial|del|to|from|implies|if and only if|is in equilibrium with|for all|there exists|and so on|prime|prime|"
    "degrees|angle|the empty set|and|or|not|given|factorial|percent|times|l|h bar|is perpendicular to|is parallel to|"
    "over"
)
_GERMAN = (
    "plus|minus|minus|mal|mal|geteilt durch|plus oder minus|minus oder plus|gleich|ungleich|ungefähr gleich|"
    "identisch mit|ähnlich|kleiner als|größer als|kleiner oder gleich|größer oder gleich|viel kleiner als|"
    "viel größer als|proportional zu|Element von|nicht Element von|Teilmenge von|Teilmenge von|vereinigt mit|"
    "geschnitten mit|unendlich|partiell|Nabla|nach|von|daraus folgt|genau dann wenn|im Gleichgewicht mit|für alle|"
    "es existiert|und so weiter|Strich|Strich|Grad|Winkel|die leere Menge|und|oder|nicht|gegeben|Fakultät|Prozent|mal|"
    "l|h quer|senkrecht zu|parallel zu|durch"
)
_FRENCH = (
    "plus|moins|moins|fois|fois|divisé par|plus ou moins|moins ou plus|égale|différent de|environ égal à|identique à|"
    "semblable à|inférieur à|supérieur à|inférieur ou égal à|supérieur ou égal à|très inférieur à|très supérieur à|"
    "proportionnel à|appartient à|n'appartient pas à|inclus dans|inclus dans|union|inter|l'infini|d rond|nabla|vers|de|"
    "implique|si et seulement si|en équilibre avec|pour tout|il existe|et ainsi de suite|prime|prime|degrés|angle|"
    "l'ensemble vide|et|ou|non|sachant|factorielle|pour cent|fois|l|h barre|perpendiculaire à|parallèle à|sur"
)


@dataclass(frozen=True)
class Words:
    """The words of a language; in each form ``{}`` stands for what it is said of."""

    formula: str
    signs: dict[str, str]
    greek: bool
    squared: str
    cubed: str
    power: str
    index: str
    over: str
    fraction: str
    root: str
    nth_root: str
    of: str
    large: dict[str, str]
    from_to: str
    accents: dict[str, str]
    functions: dict[str, str]
    # Fractions that have a name, so that it is plain where they end: "one half g".
    parts: dict[str, str]


def _signs(words: str) -> dict[str, str]:
    return dict(zip(_SIGNS, words.split("|"), strict=True))


ENGLISH = Words(
    formula="(a formula)",
    signs=_signs(_ENGLISH),
    greek=True,
    squared="{} squared",
    cubed="{} cubed",
    power="{} to the power of {}",
    index="{} sub {}",
    over="{} over {}",
    fraction="the fraction with numerator {} and denominator {}",
    root="the square root of {}",
    nth_root="the root of order {} of {}",
    of="{} of {}",
    large={"∑": "the sum", "∏": "the product", "∫": "the integral", "lim": "the limit"},
    from_to="{} from {} to {} of",
    accents={"hat": "{} hat", "bar": "{} bar", "vec": "vector {}", "dot": "{} dot", "ddot": "{} double dot",
             "tilde": "{} tilde"},
    functions={"sin": "sine", "cos": "cosine", "tan": "tangent", "ln": "natural log", "exp": "exponential",
               "lim": "the limit", "max": "maximum", "min": "minimum", "det": "determinant"},
    parts={"1/2": "one half", "3/2": "three halves", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
           "3/4": "three quarters"},
)  # fmt: skip
GERMAN = Words(
    formula="(eine Formel)",
    signs=_signs(_GERMAN),
    greek=True,
    squared="{} hoch 2",
    cubed="{} hoch 3",
    power="{} hoch {}",
    index="{} Index {}",
    over="{} durch {}",
    fraction="der Bruch mit Zähler {} und Nenner {}",
    root="Wurzel aus {}",
    nth_root="Wurzel der Ordnung {} aus {}",
    of="{} von {}",
    large={"∑": "die Summe", "∏": "das Produkt", "∫": "das Integral", "lim": "der Grenzwert"},
    from_to="{} von {} bis {} von",
    accents={"hat": "{} Dach", "bar": "{} quer", "vec": "Vektor {}", "dot": "{} Punkt", "ddot": "{} zwei Punkt",
             "tilde": "{} Tilde"},
    functions={"sin": "Sinus", "cos": "Kosinus", "tan": "Tangens", "log": "Logarithmus", "lim": "der Grenzwert"},
    parts={"1/2": "einhalb", "3/2": "drei Halbe", "1/3": "ein Drittel", "2/3": "zwei Drittel", "1/4": "ein Viertel",
           "3/4": "drei Viertel"},
)  # fmt: skip
FRENCH = Words(
    formula="(une formule)",
    signs=_signs(_FRENCH),
    greek=True,
    squared="{} au carré",
    cubed="{} au cube",
    power="{} puissance {}",
    index="{} indice {}",
    over="{} sur {}",
    fraction="la fraction de numérateur {} et de dénominateur {}",
    root="la racine carrée de {}",
    nth_root="la racine d'ordre {} de {}",
    of="{} de {}",
    large={"∑": "la somme", "∏": "le produit", "∫": "l'intégrale", "lim": "la limite"},
    from_to="{} de {} à {} de",
    accents={"hat": "{} chapeau", "bar": "{} barre", "vec": "vecteur {}", "dot": "{} point", "ddot": "{} deux points",
             "tilde": "{} tilde"},
    functions={"sin": "sinus", "cos": "cosinus", "tan": "tangente", "lim": "la limite"},
    parts={"1/2": "un demi", "3/2": "trois demis", "1/3": "un tiers", "2/3": "deux tiers", "1/4": "un quart",
           "3/4": "trois quarts"},
)  # fmt: skip
# For a language whose words nobody has written down: signs, which are everybody's.
SIGNS = Words(
    formula="(…)",
    signs={},
    greek=False,
    squared="{}²",
    cubed="{}³",
    power="{}^({})",
    index="{} {}",
    over="{}/{}",
    fraction="({})/({})",
    root="√({})",
    nth_root="{}√({})",
    of="{}({})",
    large={},
    from_to="{} ({} … {})",
    accents=dict.fromkeys(("hat", "bar", "vec", "dot", "ddot", "tilde"), "{}"),
    functions={},
    parts={},
)
_BY_LANGUAGE = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}


def words_of(language: str | None) -> Words:
    """The words for formulas in a language, English where none is known."""
    return ENGLISH if language is None else _BY_LANGUAGE.get(language, SIGNS)
