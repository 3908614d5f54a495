"""Base models at hand, described from their files alone."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from workers.errors import BadInput
from workers.llm import bases, gguf_header, sizing
from workers.llm.config import Config

ROOT = Path(__file__).parents[3]


def gguf(path: Path, magic: bytes = b"GGUF") -> Path:
    """A GGUF file of two tensors and a few values."""

    def text(said: str) -> bytes:
        return struct.pack("<Q", len(said)) + said.encode()

    values = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.license") + struct.pack("<I", 8) + text("mit"),
        text("llama.context_length") + struct.pack("<II", 4, 2048),
        text("llama.embedding_length") + struct.pack("<II", 4, 64),
        text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bcd"),
        text("scores") + struct.pack("<IIQ", 9, 6, 3) + struct.pack("<fff", 1, 2, 3),
        text("nested") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 0, 2) + b"xy",
        text("llama.block_count") + struct.pack("<II", 4, 7),
    ]
    tensors = [
        text("one") + struct.pack("<IQQ", 2, 8, 4) + struct.pack("<IQ", 3, 0),
        text("two") + struct.pack("<IQ", 1, 10) + struct.pack("<IQ", 0, 0),
    ]
    head = magic + struct.pack("<IQQ", 3, len(tensors), len(values))
    path.write_bytes(head + b"".join(values) + b"".join(tensors) + bytes(100))
    return path


def test_a_folder_is_described_by_its_own_files(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "owner" / "tiny")
    shutil.copytree(tiny, tmp_path / "flat")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    found = {base.id: base for base in bases.at_hand(tmp_path) if base.id != bases.PACKAGED}
    assert set(found) == {"owner/tiny", "flat"}
    base = found["owner/tiny"]
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert base.parameters == model.num_parameters()
    assert (base.context_tokens, base.licence, base.quantized, base.format) == (256, "apache-2.0", None, "folder")
    assert (base.layers, base.hidden, base.heads, base.key_value_heads) == (2, 128, 4, 2)
    assert bases.find("owner/tiny", tmp_path) == base
    assert bases.find("nobody/nothing", tmp_path) is None


@pytest.mark.parametrize("base_id", ["../tiny", "a/b/c", "/etc", "a/..", "", "a b", ".hidden", "owner/../x"])
def test_an_id_that_leads_elsewhere_is_none(base_id: str, tmp_path: Path) -> None:
    assert not bases.well_formed(base_id)
    assert bases.find(base_id, tmp_path) is None


def test_ids_as_the_document_shows_them_are_well_formed() -> None:
    assert bases.well_formed("unsloth/llama-3.2-1b-instruct-bnb-4bit")
    assert bases.well_formed(bases.PACKAGED)


def test_a_gguf_file_is_described_by_its_header(tmp_path: Path) -> None:
    base = bases.describe(gguf(tmp_path / "a.gguf"), "a")
    assert (base.parameters, base.context_tokens, base.licence, base.layers) == (42, 2048, "mit", 7)
    assert (base.format, base.quantized, base.architecture) == ("gguf", "gguf", "llama")


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no GGUF file"):
        gguf_header.read(gguf(tmp_path / "a.gguf", b"GGUX"))
    whole = gguf(tmp_path / "b.gguf").read_bytes()
    (tmp_path / "c.gguf").write_bytes(whole[:150])
    with pytest.raises(BadInput, match="cannot be read as GGUF"):
        gguf_header.read(tmp_path / "c.gguf")


def test_the_hash_changes_with_the_weights_and_not_with_the_card(tiny: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    first = bases.sha256(copy)
    (copy / "README.md").write_text("another")
    assert bases.sha256(copy) == first
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    assert bases.sha256(copy) != first
    file = gguf(tmp_path / "a.gguf")
    assert bases.sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_describing_needs_no_torch() -> None:
    code = "import sys, workers.llm.bases, workers.llm.sizing, workers.llm.formats, workers.llm.config as c\n"
    code += "assert not {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_packaged_base_model_is_described() -> None:
    base = bases.find(bases.PACKAGED, None)
    if base is None:
        pytest.skip("make train installs the packaged base model")
    assert (base.parameters, base.context_tokens, base.licence) == (134_515_008, 8192, "apache-2.0")
    assert (base.layers, base.hidden, base.vocabulary) == (30, 576, 49_152)
    # r 8 on q and v, as peft counts it.
    assert sizing.adapter_parameters(base, Config()) == 460_800
    estimate = sizing.memory_bytes(base, Config(), longest_tokens=49)
    assert 1.2e9 < estimate < 1.75e9


def test_steps_are_counted_as_the_trainer_counts_them() -> None:
    assert sizing.steps(45, Config.of({"num_epochs": 2})) == 24
    assert sizing.steps(45, Config.of({"num_epochs": 2, "gradient_accumulation_steps": 5})) == 6
    assert sizing.steps(1, Config()) == 3


def test_more_of_anything_is_estimated_to_take_more(tiny: Path) -> None:
    base = bases.describe(tiny, "tiny")
    least = sizing.memory_bytes(base, Config(), longest_tokens=64)
    for changes in ({"batch_size": 8}, {"lora_r": 64}, {"target_modules": "all-linear"}):
        assert sizing.memory_bytes(base, Config.of(changes), longest_tokens=64) > least
    assert sizing.memory_bytes(base, Config(), longest_tokens=128) > least
    # What is longer is cut off.
    capped = Config.of({"max_seq_length": 64})
    assert sizing.memory_bytes(base, capped, longest_tokens=4096) == least
