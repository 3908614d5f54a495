"""What a GGUF file says of itself, read from its first megabytes: no weights, no library.

The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.errors import BadInput

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True)
class Header:
    """``values`` leaves out lists (the words of the tokenizer)."""

    values: dict[str, Any]
    parameters: int


def read(path: Path) -> Header:
    """The header of a file.

    Raises:
        BadInput: it is no GGUF file, or a version of it from before 2023.
    """
    with path.open("rb") as file:
        if file.read(4) != _MAGIC:
            raise BadInput(f"{path.name} is no GGUF file", code="bad_gguf")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                return _Reader(content).header()
            except (struct.error, KeyError, UnicodeDecodeError) as fault:
                raise BadInput(f"{path.name} cannot be read as GGUF: {fault!r}", code="bad_gguf") from None


class _Reader:
    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = 4

    def header(self) -> Header:
        version, tensors, entries = self._number("I"), self._number("Q"), self._number("Q")
        if version not in (2, 3):
            raise BadInput(f"GGUF version {version} is neither 2 nor 3", code="bad_gguf")
        values = {}
        for _ in range(entries):
            name = self._text()
            value = self._value(self._number("I"))
            if value is not None:
                values[name] = value
        parameters = 0
        for _ in range(tensors):
            self._text()
            parameters += math.prod(self._number("Q") for _ in range(self._number("I")))
            self._at += 4 + 8
        return Header(values, parameters)

    def _number(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self._content, self._at)
        self._at += struct.calcsize("<" + code)
        return value

    def _text(self) -> str:
        length = self._number("Q")
        self._at += length
        return self._content[self._at - length : self._at].decode()

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        of, count = self._number("I"), self._number("Q")
        if of in _NUMBERS:
            self._at += count * struct.calcsize("<" + _NUMBERS[of])
        else:
            for _ in range(count):
                self._value(of)
        return None
