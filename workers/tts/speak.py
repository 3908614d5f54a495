"""From a text to a clip: pieces, synthesis, pauses."""

from __future__ import annotations

from collections.abc import Callable

from workers.audio.clip import Clip, join, silence
from workers.errors import BadInput
from workers.text.sentences import pieces
from workers.tts.provider import Provider, Utterance

Report = Callable[[float, str], None]


def speak(provider: Provider, text: str, *, voice: str, speed: float, seed: int = 0, report: Report) -> Clip:
    """The whole text as one clip at the engine's rate.

    ``report`` is told the share done (0..1) before each piece and may raise ``workers.errors.Stopped``.

    Raises:
        BadInput: there is no word in the text that the voice can say.
    """
    spoken: list[Clip] = []
    parts = pieces(text)
    for number, piece in enumerate(parts):
        report(number / len(parts), "speaking")
        (spoken_piece,) = provider.synthesize_batch([Utterance(piece.text, voice, speed, seed)])
        clip = spoken_piece.clip
        if len(clip.samples):
            spoken += [clip, silence(piece.pause_seconds / speed, provider.sample_rate_hz)]
    if not spoken:
        raise BadInput(f"text has no word that voice {voice} can say", code="nothing_to_say")
    return join(spoken, provider.sample_rate_hz)
