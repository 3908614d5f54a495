"""A base model that is small enough to be made on the spot, and the process that fine-tunes it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TITLES = ("Dune", "Alien", "Heat", "Up", "Jaws", "Rocky", "Coco", "Tenet", "Fargo", "Psycho", "Brazil", "Shrek")
# Answers with a model, with or without an adapter, by transformers and peft and nothing of ours.
ANSWER = """
import json, sys, types
import torch
if torch.version.cuda is None:
    switch = types.ModuleType("torchaudio._extension")
    switch.__dict__.update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False,
                           fail_if_no_align=lambda f: f, _check_cuda_version=lambda: None)
    sys.modules["torchaudio._extension"] = switch
from transformers import AutoModelForCausalLM, AutoTokenizer
model, adapter, *asked = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(adapter or model)
model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
if adapter:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, adapter)
torch.set_num_threads(1)
said = []
for text in asked:
    given = tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                          return_tensors="pt", return_dict=True)
    made = model.generate(**given, max_new_tokens=40, do_sample=False)
    said.append(made[0][given["input_ids"].shape[1]:].tolist())
print(json.dumps(said))
"""

# A random model learns only where much of it is moved.
CONFIG = {
    "num_epochs": 10,
    "learning_rate": 0.02,
    "lora_r": 32,
    "lora_alpha": 64,
    "batch_size": 4,
    "target_modules": "all-linear",
    "eval_share": 0.2,
    "samples": 2,
}


def rows(titles: Sequence[str] = TITLES) -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": number,
            "messages": [
                {"role": "user", "content": f"I want to watch {title}"},
                {"role": "assistant", "content": f"I'll request {title} for you via Overseerr."},
            ],
        }
        for number, title in enumerate(titles, 1)
    ]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Llama of a few hundred thousand weights, with a tokenizer and a chat template."""
    pytest.importorskip("torch")
    from workers import plain_torchaudio  # noqa: F401  # isort: skip
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("base") / "tiny"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([m["content"] for row in rows() for m in row["messages"]], trainer)
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    whole.chat_template = TEMPLATE
    whole.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(whole),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
        # The head is not learned: with the usual small numbers it could never be sure of anything.
        initializer_range=0.15,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return folder


class Runs:
    """Fine-tunings in folders of a test."""

    def __init__(self, base: Path, home: Path) -> None:
        self.base, self.home = base, home

    def rows(self) -> list[dict[str, Any]]:
        """Twelve prompts."""
        return rows()

    def plan(self, name: str, given: Sequence[dict[str, Any]] | None = None, **changes: Any) -> Path:
        """A folder to fine-tune in; ``changes`` are of the config."""
        folder = self.home / name
        folder.mkdir()
        lines = [json.dumps(row) for row in (rows() if given is None else given)]
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
        base = {"id": "tests/tiny", "path": str(self.base), "format": "folder"}
        told = {"name": "Tiny", "base_model": base, "config": CONFIG | changes, "seed": 3, "threads": 1}
        (folder / "plan.json").write_text(json.dumps(told | {"device": "cpu"}))
        return folder

    def start(self, folder: Path, module: str = "finetune", **how: Any) -> subprocess.Popen[str]:
        """The process, reading its lines is the caller's."""
        command = [sys.executable, "-m", f"workers.llm.{module}", str(folder)]
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=(folder / "err").open("a"), text=True, **how
        )

    def run(self, folder: Path, module: str = "finetune", **how: Any) -> tuple[int, list[dict[str, Any]]]:
        """How it ended, and all that it said: nothing else may be on its output."""
        process = self.start(folder, module, **how)
        out, _ = process.communicate(timeout=110)
        assert process.returncode in (0, 1), (folder / "err").read_text()[-3000:]
        return process.returncode, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def runs(tiny: Path, tmp_path: Path) -> Runs:
    return Runs(tiny, tmp_path)


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A fine-tuning that nobody disturbed, and what it said."""
    made = Runs(tiny, tmp_path_factory.mktemp("whole"))
    folder = made.plan("whole")
    status, lines = made.run(folder)
    assert status == 0, lines
    return folder, lines


@pytest.fixture
def answer() -> Callable[..., Any]:
    """The tokens that a model answers with in a fresh process that knows nothing of ours: model, adapter, questions."""

    def run(*given: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-c", ANSWER, *given], capture_output=True, text=True, timeout=110, cwd="/", check=False
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        return json.loads(ran.stdout.splitlines()[-1])

    return run
