"""Forms that start a training: their fields out of multipart, and the clips that come with them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as parts_of
from pathlib import Path
from typing import Any

from flask import request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from app import context
from app.callbacks import CallbackUrl
from app.http.offload import offload
from app.http.parsing import MAX_INTEGER, QueryNumber, QueryWhole, Text, one_of, refuse_bad_text
from models.errors import Invalid
from models.wake_captures import FALSE_ALARM, GIVEN, MISS
from workers.errors import BadInput
from workers.wakeword.options import MODEL_TYPES, Options

RECORDINGS, FALSE_ALARMS, MISSES = "recordings", "false_alarms", "misses"
# What each use's clips may be called in a form; frameworks write `[]` behind the name of a list.
_NAMES = {
    RECORDINGS: ("audio_files", "recordings"),
    FALSE_ALARMS: (FALSE_ALARMS,),
    MISSES: (MISSES,),
}
CAPTURES = {FALSE_ALARMS: FALSE_ALARM, MISSES: MISS}
RECORDINGS_MAX = 5
WORD_LETTERS = (2, 30)
# Paths of ours among those of models.
_TAKEN_WORDS = ("compare",)
# Letters and marks that nobody sees (Unicode's Default_Ignorable_Code_Point): fillers, joiners, variation selectors.
_UNSEEN = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)])
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
_TRUE, _FALSE = {"true", "1", "on", "yes"}, {"false", "0", "off", "no"}


class Switch(fields.Boolean):
    """True or false, in the usual words."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise ValidationError(f"{str(value)[:60]!r} is neither true nor false")
        return word in _TRUE


class WakeWord(Text):
    """A word or a few, of letters."""

    def __init__(self, **kwargs: Any) -> None:
        least, most = WORD_LETTERS
        about = f"{least} to {most} letters and spaces"
        super().__init__(minimum=least, maximum=most, metadata={"description": about}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        word = " ".join(unicodedata.normalize("NFC", str(value)).split())
        wrong = [letter for letter in word if letter != " " and not _is_written(letter)]
        if wrong:
            raise ValidationError(f"{word[:60]!r} holds {wrong[0]!r}; a wake word is of letters and spaces only")
        if word.lower() in _TAKEN_WORDS:
            raise ValidationError(f"{word!r} is a path of the API; choose another word")
        least, most = WORD_LETTERS
        if not least <= len(word) <= most:
            raise ValidationError(f"{word[:60]!r} has {len(word)} letters; {least} to {most} are allowed")
        return word


def _is_written(character: str) -> bool:
    """Whether it is a letter, or a mark that belongs to one (vowels of Hindi, tones), and one can see it."""
    return unicodedata.category(character)[0] in "LM" and character not in _UNSEEN


def _fields(*, defaults: bool) -> dict[str, fields.Field[Any]]:
    """The options of a training as fields of a form."""
    found: dict[str, fields.Field[Any]] = {}
    for each in parts_of(Options):
        about: dict[str, Any] = {"description": each.metadata["says"]}
        kwargs: dict[str, Any] = {"load_default": each.default if defaults else missing, "metadata": about}
        if isinstance(each.default, bool):
            found[each.name] = Switch(**kwargs)
        else:
            number = QueryWhole if isinstance(each.default, int) else QueryNumber
            found[each.name] = number(each.metadata["low"], each.metadata["high"], **kwargs)
    types: Any = "ast" if defaults else missing
    found["model_type"] = Text(maximum=30, validate=one_of(list(MODEL_TYPES)), load_default=types)
    about = {"description": "The false accepts an hour that the threshold is chosen for"}
    found["target_false_accepts_per_hour"] = QueryNumber(0.01, 100, load_default=0.5, metadata=about)
    found["seed"] = QueryWhole(0, MAX_INTEGER, load_default=1, metadata={"description": "Of all chance in it"})
    return found


def _sent(*uses: str) -> dict[str, fields.Field[Any]]:
    """The files of a form, for the API's description."""
    return {_NAMES[use][0]: fields.List(fields.Raw(metadata={"type": "string", "format": "binary"})) for use in uses}


class _Form(Schema):
    class Meta:
        unknown = EXCLUDE

    callback_url = CallbackUrl()


# A base class that is made at run time has no type.
_Chosen: Any = _Form.from_dict(_fields(defaults=True), name="ChosenOptions")
_Changed: Any = _Form.from_dict(_fields(defaults=False), name="ChangedOptions")
_Files: Any = Schema.from_dict(_sent(RECORDINGS, FALSE_ALARMS, MISSES), name="SentClips")


class NewTraining(_Chosen):
    """The word, and how its detector is made."""

    wake_word = WakeWord(required=True)


class NewTrainingForm(NewTraining, _Files):
    """A training as a form, with 1 to 5 recordings of the word."""


class Retraining(_Changed):
    """What is to be otherwise than last time."""


class RetrainingForm(Retraining, _Files):
    """A further training as a form, with what was captured since."""


OPTION_NAMES = tuple(each.name for each in parts_of(Options))


@dataclass(frozen=True)
class SentClip:
    """A clip of a form, looked at."""

    use: str
    name: str
    duration_seconds: float
    warnings: tuple[str, ...]
    file: FileStorage

    def stored(self) -> dict[str, Any]:
        """The clip as trainings name theirs, stored now."""
        here = context.current()
        name, size = offload(_put, self.file, here.files.put)
        return {"file": name, "name": self.name, "size_bytes": size, "duration_seconds": self.duration_seconds}


def files(use: str) -> list[FileStorage]:
    """The files of the form that are for a use; an input that was left empty is none."""
    names = [spelled for name in _NAMES[use] for spelled in (name, f"{name}[]")]
    found = [file for name in names for file in request.files.getlist(name)]
    return [file for file in found if file.filename or file.stream.read(1)]


def clips(uses: Mapping[str, tuple[int, int]]) -> list[SentClip]:
    """The clips of the form, each looked at; of every use so many, at least and at most.

    Raises:
        Invalid: too few or too many, or one that cannot be used; it is named.
        RequestEntityTooLarge: one is larger than uploads may be.
    """
    sent = {use: files(use) for use in uses}
    for use, (least, most) in uses.items():
        count = len(sent[use])
        if not least <= count <= most:
            allowed = f"{least} to {most}" if least else f"at most {most}"
            raise Invalid(
                f"{_NAMES[use][0]}: {count} files were sent; {allowed} are needed", fields={_NAMES[use][0]: [count]}
            )
    return [_looked_at(use, file) for use, each in sent.items() for file in each]


def captures_max() -> dict[str, tuple[int, int]]:
    """How many captured clips a form may bring."""
    return dict.fromkeys(CAPTURES, (0, GIVEN))


def _looked_at(use: str, file: FileStorage) -> SentClip:
    name = Path((file.filename or "").replace("\\", "/")).name[:200] or "recording"
    refuse_bad_text(name, _NAMES[use][0])
    most = context.current().settings.max_upload_mb * 2**20
    look = _recording if use == RECORDINGS else _capture
    try:
        seconds, warnings = offload(look, file, name, most)
    except BadInput as fault:
        raise Invalid(f"{_NAMES[use][0]}: {fault.message}", file=name, reason=fault.code) from None
    return SentClip(use, name, round(seconds, 3), tuple(warnings), file)


def _recording(file: FileStorage, name: str, most: int) -> tuple[float, Sequence[str]]:
    # Loads what reads sound, which a web process does without until somebody trains.
    from workers.wakeword import recordings

    found = recordings.check(_content(file, name, most), name)
    return found.seconds, found.warnings


def _capture(file: FileStorage, name: str, most: int) -> tuple[float, Sequence[str]]:
    from workers.wakeword import recordings

    return recordings.length(_content(file, name, most), name), ()


def _content(file: FileStorage, name: str, most: int) -> bytes:
    file.stream.seek(0)
    content = file.stream.read(most + 1)
    if len(content) > most:
        raise RequestEntityTooLarge(f"{name!r} is larger than {most >> 20} MiB.")
    if not content:
        raise BadInput(f"recording {name!r} is empty", code="not_audio")
    return content


def _put(file: FileStorage, put: Callable[[bytes], str]) -> tuple[str, int]:
    file.stream.seek(0)
    content = file.stream.read()
    return put(content), len(content)
