"""Which language a text is in, as an ISO 639-1 code."""

from __future__ import annotations

import functools
import re
from typing import Any

# Enough to be sure; more would only take longer.
_MOST_CHARACTERS = 1_500
# Below these a guess is chance: "Introduction" is many languages.
_FEWEST_LETTERS = 20
_SURE = 0.6
# What a page says of itself is believed unless the text plainly speaks against it.
_SURE_AGAINST = 0.9
_FEWEST_LETTERS_AGAINST = 120

# ISO 639-2, both kinds, of the languages courses are likely to be in.
_THREE_LETTERS = dict(
    pair.split("=")
    for pair in (
        "eng=en deu=de ger=de fra=fr fre=fr spa=es ita=it por=pt nld=nl dut=nl rus=ru ukr=uk pol=pl ces=cs cze=cs "
        "slk=sk slo=sk slv=sl hrv=hr srp=sr bul=bg ron=ro rum=ro hun=hu ell=el gre=el tur=tr ara=ar heb=he fas=fa "
        "per=fa hin=hi ben=bn urd=ur tam=ta tel=te mar=mr zho=zh chi=zh cmn=zh jpn=ja kor=ko vie=vi tha=th ind=id "
        "msa=ms may=ms swe=sv dan=da nor=no nob=nb nno=nn fin=fi est=et lav=lv lit=lt isl=is ice=is cat=ca eus=eu "
        "baq=eu "
        "glg=gl gle=ga cym=cy wel=cy lat=la epo=eo swa=sw afr=af sqi=sq alb=sq mkd=mk mac=mk kat=ka geo=ka "
        "hye=hy arm=hy"
    ).split()
)
_CODE = re.compile(r"([A-Za-z]{2,3})(?:[-_].*)?")


def code(told: str | None) -> str | None:
    """The ISO 639-1 code for what a page or a package calls its language (``en-US``, ``ger``); None if it has none."""
    found = _CODE.fullmatch(told.strip()) if told else None
    if found is None:
        return None
    short = found[1].lower()
    return short if len(short) == 2 else _THREE_LETTERS.get(short)


def detect(text: str, told: str | None = None) -> str | None:
    """The language of a text, as it was ``told`` unless the text plainly speaks against it; None when unknown."""
    sample = text[:_MOST_CHARACTERS]
    letters = sum(map(str.isalpha, sample))
    # A sign of Chinese or Japanese says as much as three letters.
    letters += 2 * len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", sample))
    known = code(told)
    if letters < (_FEWEST_LETTERS if known is None else _FEWEST_LETTERS_AGAINST):
        return known
    found, sure = _identifier().classify(sample)
    if len(found) != 2 or sure < (_SURE if known is None else _SURE_AGAINST):
        return known
    return str(found)


def forget() -> None:
    """Gives back the memory that ``detect`` takes from its first text on; it takes it again when it is next asked."""
    _identifier.cache_clear()


@functools.cache
def _identifier() -> Any:
    """Loaded once, in half a second, and only where a text is to be judged: it takes 80 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
