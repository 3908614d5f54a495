"""MathML as LaTeX, so that one reader reads both."""

from __future__ import annotations

from workers.importers.hidden import Element, tag_of

_TEX = frozenset(("application/x-tex", "application/x-latex", "latex", "tex", "text/x-tex"))
_ACCENTS = {"^": "hat", "ˆ": "hat", "¯": "bar", "‾": "bar", "→": "vec", "⃗": "vec", "˙": "dot"}
_ACCENTS |= {"~": "tilde", "˜": "tilde", "_": "bar", "―": "bar", "̂": "hat", "¨": "ddot"}
# Applied to, times, separator, plus: signs that are there and not seen.
_INVISIBLE = str.maketrans("", "", "\u2061\u2062\u2063\u2064")
# Deeper ones nobody could follow by ear.
_DEEPEST = 24


def latex(element: Element, depth: int = 0) -> str:
    r"""A ``math`` element, or a part of one, in LaTeX; what has no place in a line becomes ``\begin{}``."""
    tag = tag_of(element)
    if depth > _DEEPEST:
        return r"\begin{deep}"
    if tag == "math" and (given := _given(element)):
        return given
    if tag in ("mi", "mn", "mo"):
        return _leaf(element, tag)
    if tag in ("mtext", "ms"):
        return rf"\text{{{' '.join(''.join(element.itertext()).split())}}}"
    if tag in ("mtable", "mlongdiv", "mstack"):
        return r"\begin{table}"
    if tag in ("annotation", "annotation-xml", "mphantom", "mspace", "none", "mprescripts"):
        return ""
    children = [latex(child, depth + 1) for child in element if tag_of(child)]
    if tag in ("semantics", "maction"):
        return children[0] if children else ""
    return _built(tag, children, element)


def _given(element: Element) -> str:
    """The LaTeX from which the MathML was made, which it often carries."""
    for note in element.iterdescendants():
        if tag_of(note) == "annotation" and note.get("encoding", "").lower() in _TEX:
            return (note.text or "").strip()
    return ""


def _leaf(element: Element, tag: str) -> str:
    text = "".join(element.itertext()).translate(_INVISIBLE).strip()
    if tag == "mi" and len(text) > 1:
        return rf"\operatorname{{{text}}}"
    return text.replace("{", r"\{").replace("}", r"\}").replace("%", r"\%").replace("&", "") if tag == "mo" else text


def _built(tag: str, children: list[str], element: Element) -> str:
    match (tag, children):
        case ("mfrac", [above, below]):
            return rf"\frac{{{above}}}{{{below}}}"
        case ("msqrt", _):
            return rf"\sqrt{{{' '.join(children)}}}"
        case ("mroot", [base, order]):
            return rf"\sqrt[{order}]{{{base}}}"
        case ("msup", [base, power]):
            return f"{{{base}}}^{{{power}}}"
        case ("msub", [base, index]):
            return f"{{{base}}}_{{{index}}}"
        case ("msubsup", [base, index, power]) | ("munderover", [base, index, power]):
            return f"{base}_{{{index}}}^{{{power}}}"
        case ("munder", [base, below]):
            return f"{base}_{{{below}}}"
        case ("mover", [base, above]):
            name = _ACCENTS.get(above.strip())
            return rf"\{name}{{{base}}}" if name else f"{base}^{{{above}}}"
        case ("mfenced", _):
            opening, closing = element.get("open", "("), element.get("close", ")")
            return f"{opening}{', '.join(children)}{closing}"
    return " ".join(children)
