"""``python -m bench.wakeword``: trains detectors and puts them beside packaged ones, on the same audio.

The recordings and the test's clips are spoken by a voice that no training hears (piper's); what must not be taken for
the word is recorded speech in languages that no training hears. All are judged at thresholds with the same false
accepts on that speech. Writes ``bench/results/wakeword-<time>.json`` and a DET plot for each word.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from bench import record
from bench.wakeword_peers import Listener, Ours, packaged
from config import settings
from workers.device import Device
from workers.wakeword import backdrop, evaluation, positives, prompts, trials, voices
from workers.wakeword.evaluation import Alarms, OperatingPoint
from workers.wakeword.features import frontend
from workers.wakeword.negatives import NegativeCache
from workers.wakeword.samples import Sample, Samples, SampleStore

WORDS = ("alexa", "hey jarvis", "marvin")
TESTER = "piper"
RECORDINGS, CLIPS = 3, 120
RATES = (5.0, 2.0, 1.1)
ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "onnxruntime", "livekit-wakeword", "hibari-tts", "pyopen-wakeword")


@dataclass(frozen=True)
class Heard:
    """What one detector made of the test: scores of speech without the word, and of the word under each condition."""

    name: str
    alarms: Alarms
    said: dict[str, np.ndarray[Any, np.dtype[np.float64]]]
    milliseconds_a_second: float

    def points(self) -> list[OperatingPoint]:
        """Misses at the same false accepts for everybody."""
        return evaluation.oracle_points(self.alarms, self.said, RATES)


def negatives(folder: Path, console: Console) -> NegativeCache:
    """The negative cache, built where it is not there: Debian's prompts, fetched with apt-get or from ``--prompts``."""
    cache = NegativeCache(folder)
    if not cache.info().sources:
        console.print("Building the negative cache ...")
        prompts.download(folder / "packages")
    sources = prompts.sources(folder / "packages") if (folder / "packages").exists() else []
    cache.build(sources, max_workers=2, report=lambda share, what: None) if sources else None
    backdrop.warm(cache, frontend("embedding"), threads=2, report=lambda share, what: None)
    return cache


def spoken(word: str, folder: Path) -> tuple[list[Sample], list[Sample]]:
    """Recordings of the word, and clips to test with, by the voice that no training hears."""
    hers = [voice for voice in voices.at_hand() if voice.family == TESTER]
    if not hers:
        sys.exit("The test's voice is not installed: make voices")
    store = SampleStore(folder / "test")
    wanted = positives.plan(word, hers, CLIPS + RECORDINGS, 77)
    speak = voices.direct(Device("cpu", 2), folder / "voices")
    positives.make(wanted, speak=speak, store=store, report=lambda share, what: None)
    clips = dict(zip(store.keys(), store, strict=True))
    found = [clips[each.key] for each in wanted if each.key in clips]
    # A recording's take is in no test.
    takes = {clip.recording for clip in found[:RECORDINGS]}
    return found[:RECORDINGS], [clip for clip in found[RECORDINGS:] if clip.recording not in takes]


def trained(word: str, recordings: list[Sample], cache: Path, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The report of a training with these recordings."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "recordings").mkdir(parents=True)
    names = []
    for number, clip in enumerate(recordings):
        content = io.BytesIO()
        soundfile.write(content, np.pad(clip.samples, 4000), 16_000, format="wav")
        names.append(f"recordings/{number}.wav")
        (folder / names[-1]).write_bytes(content.getvalue())
    plan = {"wake_word": word, "model_type": "embedding", "recordings": names, "negatives": str(cache), "threads": 2}
    (folder / "plan.json").write_text(json.dumps(plan | {"options": options}))
    began = time.monotonic()
    command = [sys.executable, "-m", "workers.wakeword.train", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((folder / "out" / "report.json").read_text())
    return report | {"minutes": (time.monotonic() - began) / 60}


def judged(name: str, listener: Listener, clips: list[Sample], cache: NegativeCache) -> Heard:
    """The detector's scores of everything."""
    began, seconds = time.process_time(), 0.0
    rows = []
    for source in cache.info().sources:
        if source.split == "test":
            listener.begin()
            rows.append(np.concatenate([listener.hear(chunk.samples) for chunk in cache.chunks_of(source)]))
            seconds += source.seconds
    spent = time.process_time() - began
    said = {condition: _heard(listener, trials.sounds(clips, condition, 5)) for condition in trials.CONDITIONS}
    alarms = Alarms(tuple(rows), listener.hop_seconds)
    return Heard(name, alarms, said, 1000 * spent / seconds)


def _heard(listener: Listener, sounds: list[Samples]) -> np.ndarray[Any, np.dtype[np.float64]]:
    best = []
    for sound in sounds:
        listener.begin()
        best.append(float(listener.hear(sound).max(initial=0.0)))
    return np.array(best)


def main() -> None:
    """Trains, judges, prints the table, writes the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.wakeword", description=__doc__)
    parser.add_argument("words", nargs="*", default=list(WORDS))
    parser.add_argument("--negatives", type=Path, help="a negative cache that is there already")
    arguments = parser.parse_args()
    console = Console()
    var = settings.load().var_dir
    load = os.getloadavg()
    cache = negatives(arguments.negatives or var / "wakeword" / "negatives", console)
    cache_folder = arguments.negatives or var / "wakeword" / "negatives"
    results, figures = ROOT / "bench" / "results", []
    for word in arguments.words:
        folder = var / "wakeword-demo" / word.replace(" ", "-")
        recordings, clips = spoken(word, folder)
        console.print(f"Training {word!r} with {len(recordings)} recordings ...")
        report = trained(word, recordings, cache_folder, folder / "training", {})
        ours = folder / "training" / "out" / report["files"]["detector"]
        results.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "training" / "out" / report["files"]["det_png"], results / f"wakeword-{folder.name}.png")
        console.print("Listening ...")
        heard = [judged("ours", Ours(ours), clips, cache)]
        heard += [judged(name, peer, clips, cache) for name, peer in packaged(word).items()]
        _show(console, word, heard, report)
        figures.append(_figures(word, heard, report, len(clips)))
    _, path = record.write({"words": figures}, packages=PACKAGES, load_before=load, name="wakeword-")
    console.print(f"Written to {path}.")


def _show(console: Console, word: str, heard: list[Heard], report: dict[str, Any]) -> None:
    table = Table(title=f"{word}: {report['minutes']:.1f} min, head {report['sizes']['openwakeword'] / 1000:.0f} kB")
    for heading in ("detector", "accepts/h", "events", "95 % bound", "misses clean", "10 dB", "far", "ms CPU a second"):
        table.add_column(heading)
    for each in heard:
        for point in each.points():
            misses = [f"{100 * point.misses[condition]:.1f} %" for condition in trials.CONDITIONS]
            rate = f"<= {point.target_per_hour:g}"
            bound = f"{point.bound_per_hour:.1f}"
            table.add_row(each.name, rate, str(point.events), bound, *misses, f"{each.milliseconds_a_second:.1f}")
    console.print(table)
    at = report["operating_point"]
    near = [row["text"] for row in report["near_words"] if row["fired"]]
    console.print(
        f"As delivered: threshold {at['threshold']}, {at['events']} events in {at['hours']:.2f} h "
        f"(at most {at['bound_per_hour']:.1f} an hour), misses {at['misses']}; near words that fire: {near or 'none'}"
    )


def _figures(word: str, heard: list[Heard], report: dict[str, Any], clips: int) -> dict[str, Any]:
    return {
        "word": word,
        "minutes": round(report["minutes"], 2),
        "head_bytes": report["sizes"]["openwakeword"],
        "clips": clips,
        "detectors": [
            {
                "name": each.name,
                "cpu_ms_a_second": round(each.milliseconds_a_second, 2),
                "points": [vars(point) for point in each.points()],
            }
            for each in heard
        ],
        "delivered": report["operating_point"],
        "near_words": report["near_words"],
    }


if __name__ == "__main__":
    main()
