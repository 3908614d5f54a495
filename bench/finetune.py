"""``python -m bench.finetune``: from fifty prompts to an adapter that answers, with the figures it must reach.

The prompts ask for films; what the adapter makes of films that it has never seen is asked in a process that has
transformers and peft and nothing of ours. Writes ``bench/results/finetune-<time>.json`` and the loss curve beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import record
from workers.device import cores
from workers.llm import bases

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "transformers", "peft", "trl")
SYSTEM = "You are a helpful homelab assistant."
# Fifty films to learn from.
LEARNED = (
    "Inception|Dune|Arrival|The Matrix|Alien|Heat|Casablanca|Up|Jaws|Rocky|Amelie|Parasite|Gladiator|Titanic|Coco"
    "|Tenet|Fargo|Seven|Whiplash|Psycho|Vertigo|Memento|Avatar|Shrek|Frozen|Brazil|Network|Chinatown"
    "|The Godfather|Pulp Fiction|Blade Runner|Die Hard|Toy Story|Spirited Away|The Shining|Taxi Driver"
    "|Back to the Future|The Big Lebowski|Groundhog Day|Fight Club|Forrest Gump|Good Will Hunting|The Truman Show"
    "|La La Land|Mad Max|Jurassic Park|Lost in Translation|Moonlight|Ratatouille|The Lord of the Rings"
).split("|")
# And ten that are in no prompt.
UNSEEN = (
    "Interstellar|Goodfellas|The Departed|Kill Bill|Finding Nemo|The Green Mile|Braveheart|Rear Window|Black Swan|Drive"
).split("|")
# As the document's example, but for the rate: small models want a higher one.
CONFIG = {"num_epochs": 3, "learning_rate": 2e-3, "batch_size": 4}

# Threads that wait in a loop would slow each other down where others compute, too.
PATIENT = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}

LOSS_SHARE, SECONDS, MEMORY_BYTES = 0.10, 120.0, 1_600_000_000

# Knows of transformers and peft alone.
ANSWER = """
import json, sys, types
import torch
if torch.version.cuda is None:
    # Where torchaudio was built for a GPU and torch was not, importing it fails.
    switch = types.ModuleType("torchaudio._extension")
    switch.__dict__.update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False,
                           fail_if_no_align=lambda f: f, _check_cuda_version=lambda: None)
    sys.modules["torchaudio._extension"] = switch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, system, *asked = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(adapter)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
said = []
for text in asked:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    given = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.generate(**given, max_new_tokens=40, do_sample=False)
    said.append(tokenizer.decode(made[0][given["input_ids"].shape[1]:], skip_special_tokens=True))
print(json.dumps(said))
"""


def asked(title: str) -> str:
    """What somebody says who wants to see a film."""
    return f"I want to watch {title}"


def answered(title: str) -> str:
    """What is to be answered."""
    return f"I'll request {title} for you via Overseerr."


def prepared(folder: Path, cache: Path, threads: int, device: str) -> None:
    """The folder of the fine-tuning."""
    base = bases.find(bases.PACKAGED, None)
    if base is None:
        sys.exit("The packaged base model is not installed: make train")
    rows: list[dict[str, Any]] = []
    for number, title in enumerate(LEARNED, 1):
        told = [("system", SYSTEM), ("user", asked(title)), ("assistant", answered(title))]
        rows.append({"prompt_id": number, "messages": [{"role": role, "content": text} for role, text in told]})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told_base = {"id": base.id, "path": str(base.path), "format": base.format, "cache": str(cache)}
    plan: dict[str, Any] = {
        "name": "Films",
        "base_model": told_base | {"sha256": bases.sha256(base.path), "licence": base.licence},
    }
    plan |= {"config": CONFIG, "seed": 1, "threads": threads, "device": device}
    (folder / "plan.json").write_text(json.dumps(plan))


def trained(folder: Path, console: Console) -> float:
    """Fine-tunes; the seconds it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "workers.llm.finetune", str(folder)]
    with (
        (folder / "err").open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        phase = ""
        for line in process.stdout:
            said = json.loads(line)
            if said["type"] == "phase" and said["phase"] != phase:
                phase = said["phase"]
                console.print(f"{time.monotonic() - began:6.1f} s  {phase}")
            elif said["type"] == "step":
                console.print(f"{time.monotonic() - began:6.1f} s  step {said['step']}: loss {said['loss']:.3f}")
            elif said["type"] == "failed":
                sys.exit(said["message"])
    if process.returncode != 0:
        sys.exit((folder / "err").read_text()[-2000:])
    return time.monotonic() - began


def unpacked(cache: Path) -> Path:
    """The packaged base model as a folder, made by the fine-tuning."""
    return next(path.parent for path in cache.glob("[!.]*/config.json"))


def main() -> int:
    """The demonstration; 0 if every figure is reached."""
    parser = argparse.ArgumentParser(prog="python -m bench.finetune", description=__doc__)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / "var" / "cache" / "base_models", help="where it is unpacked"
    )
    options = parser.parse_args()
    console = Console()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        prepared(folder, options.cache, options.threads, options.device)
        seconds = trained(folder, console)
        report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
        command = [sys.executable, "-c", ANSWER, str(unpacked(options.cache)), str(folder / "out" / "adapter"), SYSTEM]
        ran = subprocess.run(
            [*command, *map(asked, UNSEEN)], capture_output=True, text=True, check=False, cwd="/", env=PATIENT
        )
        if ran.returncode != 0:
            sys.exit(ran.stderr[-2000:])
        said = json.loads(ran.stdout.splitlines()[-1])
        share = report["last_loss"] / report["first_loss"]
        exact = [text.strip() == answered(title) for title, text in zip(UNSEEN, said, strict=True)]
        memory = report["peak_memory_bytes"]
        figures = [
            ("seconds, from nothing to the adapter", f"{seconds:.0f}", f"< {SECONDS:.0f}", seconds < SECONDS),
            ("last loss of the first", f"{share:.2%}", f"< {LOSS_SHARE:.0%}", share < LOSS_SHARE),
            ("unseen titles answered exactly", f"{sum(exact)} of {len(exact)}", "all", all(exact)),
            ("peak memory, MB", f"{memory / 1e6:.0f}", f"< {MEMORY_BYTES / 1e6:.0f}", memory < MEMORY_BYTES),
        ]
        table = Table("", "measured", "wanted", "")
        for name, value, wanted, good in figures:
            table.add_row(name, value, wanted, "reached" if good else "missed")
        console.print(table)
        for title, text in zip(UNSEEN, said, strict=True):
            console.print(f"  {asked(title)}  ->  {text.strip()}", highlight=False)
        console.print(f"{report['tokens_per_second']:.0f} tokens a second; load {load[0]:.1f} before, "
                      f"{os.getloadavg()[0]:.1f} after, on {cores()} cores with {options.threads} threads")  # fmt: skip
        told = {
            "seconds": seconds,
            "verdicts": {name: good for name, _, _, good in figures},
            "answers": dict(zip(UNSEEN, said, strict=True)),
            "report": report,
        }
        _, path = record.write(told, packages=PACKAGES, load_before=load, name="finetune-")
        picture = Path.cwd() / path
        shutil.copyfile(folder / "out" / "curve.png", picture.with_suffix(".png"))
        console.print(f"{path}, {path.with_suffix('.png')}")
    return 0 if all(good for *_, good in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
