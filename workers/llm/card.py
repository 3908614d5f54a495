"""What a fine-tuning leaves for people: a card that says where the adapter comes from, and its curve as a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any

VERSIONS = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "bitsandbytes")
_SAMPLES_SHOWN = 10
_CHARACTERS_SHOWN = 400


def versions() -> dict[str, str]:
    """The packages that decide what a training gives."""
    found = {}
    for package in VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def card(report: dict[str, Any], *, merged_as: str | None = None) -> str:
    """The card, in Markdown with the front matter that model hubs read.

    ``merged_as`` is the type of the numbers where base model and adapter have become one.
    """
    base, data = report["base_model"], report["data_stats"]
    licence = base.get("licence")
    front = ["---", f"base_model: {json.dumps(base['id'])}"]
    front += ["library_name: peft", "tags: [lora]"] if merged_as is None else ["library_name: transformers"]
    what = "A LoRA adapter for" if merged_as is None else f"A LoRA adapter merged (in {merged_as}) into"
    front += [f"license: {json.dumps(licence)}"] if licence else []
    parts = [
        "\n".join([*front, "---"]),
        f"# {report['name']}",
        f"{what} `{base['id']}`; learned from {data['train_rows']} prompts, {data['eval_rows']} held out.",
        *(["![Loss](curve.png)"] if merged_as is None else []),
        "## Figures",
        _table(("", "before", "after"), _figures(report)),
        "## Where it comes from",
        _table(("", ""), _provenance(report)),
        "## Options",
        "```json\n" + json.dumps(report["config"], indent=1) + "\n```",
    ]
    if report["warnings"]:
        parts += ["## Warnings", "\n".join(f"- {text}" for text in report["warnings"])]
    if report["samples"]:
        parts += ["## Answers before and after", *[_sample(each) for each in report["samples"][:_SAMPLES_SHOWN]]]
    parts += ["## Licence", _licence(base["id"], licence)]
    return "\n\n".join(parts) + "\n"


def _figures(report: dict[str, Any]) -> list[tuple[str, ...]]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    match = report["exact_match"]
    return [
        ("Loss on what it learns", shown(report["first_loss"], ".4f"), shown(report["last_loss"], ".4f")),
        ("Loss on held-out prompts", shown(report["eval_loss_before"], ".4f"), shown(report["eval_loss"], ".4f")),
        (f"Answered exactly, of {match['of']}", str(match["before"]), str(match["after"])),
    ]


def _provenance(report: dict[str, Any]) -> list[tuple[str, ...]]:
    base = report["base_model"]
    packages = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    early = ", stopped early" if report["stopped_early"] else ""
    return [
        ("Base model", f"`{base['id']}`"),
        ("Its SHA-256", f"`{base['sha256']}`"),
        ("SHA-256 of the rendered prompts", f"`{report['data_stats']['dataset_sha256']}`"),
        ("Seed", str(report["seed"])),
        ("Device", report["device"]),
        ("Steps", f"{report['steps']} of {report['max_steps']}{early}; kept: {report['kept_step']}"),
        ("Time", f"{report['training_seconds']:.0f} s, {report['tokens_per_second']:.0f} tokens a second"),
        ("Peak memory", f"{report['peak_memory_bytes'] / 1e6:.0f} MB"),
        ("Made with", packages),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _sample(sample: dict[str, Any]) -> str:
    kind = "held out" if sample["held_out"] else "learned from"
    lines = [f"**{_cut(sample['asked'])}** ({kind})"]
    lines += [f"- {name}: {_cut(sample[name])}" for name in ("expected", "before", "after")]
    return "\n".join(lines)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CHARACTERS_SHOWN else line[: _CHARACTERS_SHOWN - 1] + "…"


def _licence(base_id: str, licence: str | None) -> str:
    if licence is None:
        return f"The card of `{base_id}` names no licence; whoever passes this adapter on must ask its makers."
    return f"`{base_id}` is under {licence}, and what is derived from it stands under its terms, as do the prompts'."


def curve_png(name: str, history: Sequence[dict[str, Any]], eval_loss_before: float | None) -> bytes:
    """The loss over the steps as a picture: of what is learned, and of held-out prompts where there are any."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([each["step"] for each in history], [each["loss"] for each in history], label="learned", linewidth=1.2)
    judged = [(each["step"], each["eval_loss"]) for each in history if "eval_loss" in each]
    if judged:
        before = [] if eval_loss_before is None else [(0, eval_loss_before)]
        axes.plot(*zip(*before, *judged, strict=True), "o-", label="held out", linewidth=1.2)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    # A dollar sign begins a formula there.
    axes.set_title(name.replace("$", r"\$"))
    axes.grid(alpha=0.3)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
