"""Captions from the times of what was said: SRT, WebVTT, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from models.speech_clips import SpeechClip

# Two lines of a subtitle, and as long as a viewer keeps one in sight (the usual limits of broadcasters).
LINE_CHARACTERS = 42
CUE_CHARACTERS = 2 * LINE_CHARACTERS
CUE_SECONDS = 7.0

FORMATS = {"srt": "application/x-subrip", "vtt": "text/vtt", "json": "application/json"}


@dataclass(frozen=True)
class Word:
    """A written word and when it is heard."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Cue:
    """What is shown together."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """Its words."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Track:
    """What is said in clips that are played one after the other; ``estimated`` when some of the times are."""

    words: list[Word]
    estimated: bool
    duration_seconds: float


def track(clips: Iterable[SpeechClip]) -> Track:
    """The words of these clips, and when they are heard."""
    words: list[Word] = []
    estimated, seconds = False, 0.0
    for clip in clips:
        # One that was made before times were kept: all that is known is how long it is.
        whole = {"text": clip.spec["text"], "start": 0.0, "end": clip.duration_seconds or 0.0}
        own, guessed = words_of(clip.timing or [whole])
        words += later(own, seconds)
        seconds += clip.duration_seconds or 0.0
        estimated |= guessed
    return Track(words, estimated, seconds)


def written(track: Track, format_name: str) -> str:
    """A track as SubRip or WebVTT."""
    return srt(track.words) if format_name == "srt" else vtt(track.words, estimated=track.estimated)


def words_of(timing: Iterable[dict[str, Any]]) -> tuple[list[Word], bool]:
    """The words of a clip's passages in order, and whether any of their times is estimated."""
    found: list[Word] = []
    estimated = False
    for passage in timing:
        written = passage["text"].split()
        told = passage.get("words") or []
        # The engine's words are the spoken ones: where they are not as many, a written word has no time of its own.
        if len(told) == len(written):
            found += [Word(text, start, end) for text, (_, start, end) in zip(written, told, strict=True)]
        else:
            estimated = True
            found += _shared_out(written, passage["start"], passage["end"])
    return found, estimated


def _shared_out(written: Sequence[str], start: float, end: float) -> list[Word]:
    """The words of a passage, each with time by its letters."""
    total = sum(len(word) + 1 for word in written)
    found: list[Word] = []
    at = start
    for word in written:
        until = at + (end - start) * (len(word) + 1) / total
        found.append(Word(word, round(at, 3), round(until, 3)))
        at = until
    return found


def cues(words: Iterable[Word]) -> list[Cue]:
    """The words in cues that can be read: cut after a sentence, and where one grows too long."""
    found: list[Cue] = []
    held: list[Word] = []
    for word in words:
        length = sum(len(each.text) + 1 for each in held) + len(word.text)
        if held and (length > CUE_CHARACTERS or word.end_seconds - held[0].start_seconds > CUE_SECONDS):
            found.append(Cue(tuple(held)))
            held = []
        held.append(word)
        if word.text.rstrip("\"')]”’").endswith((".", "!", "?", "…")) and length > LINE_CHARACTERS / 2:
            found.append(Cue(tuple(held)))
            held = []
    return [*found, Cue(tuple(held))] if held else found


def later(words: Iterable[Word], seconds: float) -> list[Word]:
    """The words, heard so much later."""
    return [
        Word(word.text, round(word.start_seconds + seconds, 3), round(word.end_seconds + seconds, 3)) for word in words
    ]


def srt(words: Sequence[Word]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    blocks = [f"{number}\n{_times(cue, ',')}\n{_lines(cue)}\n" for number, cue in enumerate(cues(words), 1)]
    return "\n".join(blocks)


def vtt(words: Sequence[Word], *, estimated: bool) -> str:
    """WebVTT; a note says when the times are estimated."""
    note = "NOTE Times of words are estimated from their lengths.\n\n" if estimated else ""
    blocks = [f"{_times(cue, '.')}\n{_escaped(cue)}\n" for cue in cues(words)]
    return "WEBVTT\n\n" + note + "\n".join(blocks)


def as_json(words: Sequence[Word], *, estimated: bool, duration_seconds: float) -> dict[str, Any]:
    """Cues and words with their times in seconds."""
    return {
        "duration_seconds": round(duration_seconds, 3),
        "word_times": "estimated" if estimated else "engine",
        "cues": [
            {"text": cue.text, "start": cue.words[0].start_seconds, "end": cue.words[-1].end_seconds}
            for cue in cues(words)
        ],
        "words": [{"word": word.text, "start": word.start_seconds, "end": word.end_seconds} for word in words],
    }


def _times(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.words[0].start_seconds, mark)} --> {_clock(cue.words[-1].end_seconds, mark)}"


def _lines(cue: Cue) -> str:
    """One line, or two of about the same length."""
    text = cue.text
    if len(text) <= LINE_CHARACTERS:
        return text
    spaces = [at for at, character in enumerate(text) if character == " "]
    if not spaces:
        return text
    middle = min(spaces, key=lambda at: abs(at - len(text) / 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _escaped(cue: Cue) -> str:
    return _lines(cue).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, milliseconds = divmod(milliseconds, 3_600_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{mark}{milliseconds:03d}"
