"""``python -m bench.gpu [--repeats 5]``: the batched engine (``vits``) on a GPU, alone, bare and behind the server.

Where there is no GPU it says so, and puts the engine in batches beside the bare network on the processor: that shows
that batches are right, and nothing of how fast a GPU is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import record
from bench.goals import Goal, judge
from bench.service import Service
from bench.speakers import together
from bench.texts import five_seconds, ten_seconds
from workers import device

# On a processor a few short ones show as much.
CONCURRENT, _ON_PROCESSOR = 16, 3
_EACH = 4
PACKAGES = ("torch", "transformers", "numpy")
_LIMIT = "gpu.bare_batched"
GOALS = (
    Goal(14, "vits", "engine: 16 together, audio-s/s, of 1", "gpu.engine_16", 4, "gpu.engine_1", True),
    Goal(14, "vits", "engine: of the bare network's batches", "gpu.engine_16", 0.8, _LIMIT, True),
    Goal(14, "vits", "served: 16 clients, audio-s/s, of 1", "gpu.served_16", 4, "gpu.served_1", True),
    Goal(14, "vits", "served: of the bare network's batches", "gpu.served_16", 0.8, _LIMIT, True),
    Goal(14, "vits", "all GPUs, of one by their number", "gpu.served_by_all", 0.9, "gpu.served_one_by_number", True),
    Goal(14, "vits", "samples in a batch differ from alone by", "gpu.difference", 1e-3),
)
# Audio seconds a second, and what else is judged.
Figures = dict[str, float]


def main() -> None:
    """Measures, prints, writes ``bench/results/gpu-<time>.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 118))
    try:
        import torch
    except ImportError:
        sys.exit("torch is not installed here: `make gpu` installs it, or `make train` the build for processors.")
    gpus = len(device.gpus()) if torch.cuda.is_available() else 0
    where = torch.cuda.get_device_name(0) if gpus else "the processor"
    if not gpus:
        console.print(
            "There is no GPU here. The batched engine is checked on the processor instead, where a batch gains little; "
            "the goals for a GPU are not judged."
        )
    load_before = os.getloadavg()
    engine = Engine("cuda:0" if gpus else "cpu")
    repeats = [engine.measure() for _ in range(arguments.repeats)]
    if gpus:
        for found in repeats:
            found |= _served(gpus)
    figures = {name: [found[name] for found in repeats] for name in repeats[0]}
    judged = list(judge(figures, GOALS if gpus else GOALS[-1:]))
    measured = {
        "device": where,
        "gpus": gpus,
        "figures": {name: {"median": statistics.median(each), "repeats": each} for name, each in figures.items()},
        "goals": [vars(each.goal) | {"value": each.value, "met": each.met} for each in judged],
    }
    _, path = record.write(measured, packages=PACKAGES, load_before=load_before, name="gpu-")
    table = Table("figure", "median", "min", "max", title=f"On {where}")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:.4g}" for value in (statistics.median(values), min(values), max(values))))
    console.print(table)
    for each in judged:
        goal, verdict = each.goal, "met" if each.met else "not met"
        console.print(f"{goal.about}: {each.value:.3g} ({'≥' if goal.more else '≤'} {goal.bar:g}): {verdict}")
    console.print(f"Load average before {load_before[0]:.2f}, after {os.getloadavg()[0]:.2f}. Written to {path}.")


class Engine:
    """The engine as a worker has it, and the network alone with the same weights."""

    def __init__(self, name: str) -> None:
        from workers.device import Device
        from workers.tts import piper_voice, vits

        self._device = name
        self._voice = piper_voice.joe()
        self._engine = vits.load(Device(name, os.cpu_count() or 1))
        self._net: Any = vits.network(self._voice.model).to(name)

    def measure(self) -> Figures:
        """One repeat: the same sentences one at a time, together, and through the bare network."""
        on_gpu = self._device != "cpu"
        texts = [ten_seconds() for _ in range(CONCURRENT)] if on_gpu else [five_seconds() for _ in range(_ON_PROCESSOR)]
        alone = [self._spoken([text])[0] for text in texts[:2]]
        batch = self._spoken(texts)
        difference = max(
            float(abs(one - other[: len(one)]).max()) if len(one) == len(other) else 1.0
            for one, other in zip(alone, batch, strict=False)
        )
        audio = sum(len(samples) for samples in batch) / self._engine.sample_rate_hz
        bare = self._bare(texts)
        times = _EACH if on_gpu else 1
        one_seconds = _seconds(lambda: [self._spoken([text]) for text in texts], times, self._wait)
        batch_seconds = _seconds(lambda: self._spoken(texts), times, self._wait)
        bare_audio, bare_seconds = bare()[0], _seconds(bare, times, self._wait)
        return {
            "gpu.difference": difference,
            "gpu.engine_1" if on_gpu else "processor.engine_1": audio / one_seconds,
            "gpu.engine_16" if on_gpu else "processor.engine_3": audio / batch_seconds,
            _LIMIT if on_gpu else "processor.bare_batched": bare_audio / bare_seconds,
        }

    def _spoken(self, texts: Sequence[str]) -> list[Any]:
        from workers.tts.provider import Utterance

        return [spoken.clip.samples for spoken in self._engine.synthesize_batch([Utterance(t, "joe") for t in texts])]

    def _bare(self, texts: Sequence[str]) -> Callable[[], tuple[float, Any]]:
        """The network's own forward pass over ids that lie on the device: audio seconds, and the sound, which stays."""
        import torch

        rows = [sentence.ids for text in texts for sentence in self._voice.sentences(text)]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        ids, mask = ids.to(self._device), mask.long().to(self._device)

        @torch.inference_mode()
        def run() -> tuple[float, Any]:
            said = self._net(input_ids=ids, attention_mask=mask)
            return float(said.sequence_lengths.sum()) / self._engine.sample_rate_hz, said.waveform

        return run

    def _wait(self) -> None:
        import torch

        if self._device != "cpu":
            torch.cuda.synchronize()


def _seconds(act: Callable[[], Any], times: int, wait: Callable[[], None]) -> float:
    act()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        act()
    wait()
    return (time.perf_counter() - began) / times


def _served(gpus: int) -> Figures:
    """The whole product with one GPU, and with all of them."""
    with Service(CUDA_VISIBLE_DEVICES="0") as service:
        found = {"gpu.served_1": _clients(service, 1), "gpu.served_16": _clients(service, CONCURRENT)}
    if gpus > 1:
        with Service() as service:
            found["gpu.served_by_all"] = _clients(service, CONCURRENT * gpus)
        found["gpu.served_one_by_number"] = found["gpu.served_16"] * gpus
    return found


def _clients(service: Service, count: int) -> float:
    # The worker is not waited for at the start, and warms itself.
    for _ in range(5):
        service.speaker("vits").speak(ten_seconds())
    crowd = together(lambda: service.speaker("vits"), [[ten_seconds() for _ in range(16)] for _ in range(count)])
    return crowd.audio_seconds / crowd.seconds


if __name__ == "__main__":
    main()
