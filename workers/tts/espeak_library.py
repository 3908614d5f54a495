"""espeak-ng's library by ctypes: the phonemes of a text, and its own robotic speech.

The library and its data come from the package espeakng-loader (GPL-3.0-or-later), which is optional; it is loaded in
this process only. It keeps its state in globals, so there is one of it and every call holds its lock.
Source: espeak-ng 1.52, ``src/include/espeak-ng/speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_UTF8, _IPA = 1, 2
_RATE_PARAMETER = 1
_LAST_EVENT, _WORD_EVENT = 0, 1
_POSITION_IN_CHARACTERS = 1


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event), use_errno=False
)


@dataclass(frozen=True)
class Clause:
    """A part of a text up to a pause: its characters [start, end) and their IPA, words apart by spaces."""

    start: int
    end: int
    phonemes: str


@dataclass(frozen=True)
class WordStart:
    """Where in the text a spoken word begins (characters, from 0), and when."""

    position: int
    seconds: float


class Espeak:
    """The library, initialised. Raises OSError where it cannot be: its data are missing or their path is too long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        data = espeakng_loader.get_data_path()
        self.sample_rate_hz: int = library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DO_NOT_EXIT)
        if self.sample_rate_hz <= 0:
            raise OSError(f"espeak-ng cannot read its data in {data}")
        self.version: str = library.espeak_Info(None).decode().split()[0]
        self._samples: list[NDArray[np.int16]] = []
        self._words: list[WordStart] = []
        # Kept here: the library calls it by address, so it must not be collected.
        self._callback = _Callback(self._take)
        library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def clauses(self, text: str, voice: str) -> list[Clause]:
        """The text's clauses as ``voice`` (``en-us``) would say them, by the library's own rules for what ends one."""
        with self._lock:
            self._select(voice)
            return list(self._clauses(text.replace("\0", " ")))

    def _clauses(self, text: str) -> Iterator[Clause]:
        encoded = text.encode()
        buffer = ctypes.create_string_buffer(encoded)
        base = ctypes.addressof(buffer)
        place = ctypes.c_void_p(base)
        start = 0
        reached: int | None = base
        while reached is not None:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(place), _UTF8, _IPA)
            # The library stops one character into the next clause, because it looks what follows a full stop.
            reached = place.value
            end = len(text) if reached is None else len(encoded[: reached - base].decode()) - 1
            yield Clause(start, end, phonemes.decode())
            start = end

    def speak(self, text: str, voice: str, words_per_minute: int) -> tuple[NDArray[np.int16], list[WordStart]]:
        """The text's samples, shape (n,), at ``sample_rate_hz``, and when each of its words begins."""
        encoded = text.replace("\0", " ").encode()
        with self._lock:
            self._select(voice)
            self._library.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
            self._samples, self._words = [], []
            self._library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_IN_CHARACTERS, 0, _UTF8, None, None)
            samples = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
            return samples, self._words

    def _select(self, voice: str) -> None:
        if voice == self._voice:
            return
        self._voice = ""
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        self._voice = voice

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        """Called by the library with every piece of sound; 0 lets it go on."""
        if count > 0:
            # Copied: the library uses its buffer again.
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while (event := events[number]).type != _LAST_EVENT:
            if event.type == _WORD_EVENT:
                self._words.append(WordStart(event.text_position - 1, event.audio_position / 1000))
            number += 1
        return 0


@cache
def shared() -> Espeak:
    """The one of this process."""
    return Espeak()
