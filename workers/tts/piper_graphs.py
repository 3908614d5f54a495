"""A piper voice's ONNX graph, cut in three: text front end, flow, decoder.

Whole, it draws its noise inside and gives sound only when all of it is done. Cut, the noise comes from us (so that a
seed means something), the durations of phonemes are seen, and the decoder, three quarters of the work, runs in windows.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# To be raised when a cut is made elsewhere: what was cached is then cut anew.
_CUT = 1


@dataclass(frozen=True)
class Graphs:
    """The three graphs' files; float32 but where said.

    ``front``: ids [1, ids] int64, lengths [1] int64, noise [1, 2, ids] to widths [1, 1, ids], means [1, 192, ids],
    log_deviations [1, 192, ids]. ``flow``: prior [1, 192, frames], mask [1, 1, frames] to latent [1, 192, frames].
    ``decoder``: latent to sound [1, 1, 1, 256 * frames].
    """

    front: Path
    flow: Path
    decoder: Path


@contextmanager
def cut(model: Path, cache: Path | None) -> Iterator[Graphs]:
    """The graphs of a voice, for as long as it takes to load them; kept below ``cache`` where there is one.

    Raises:
        ValueError: the graph is not that of a piper voice.
    """
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="voiceworks-piper-") as folder:
            yield _write(model, Path(folder))
        return
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept = cache / f"{digest[:32]}-{_CUT}"
    if not kept.exists():
        _keep(model, kept)
    yield _graphs(kept)


def _keep(model: Path, kept: Path) -> None:
    # Several workers start together: each cuts, and the first whose folder gets the name decides for all.
    kept.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".", dir=kept.parent))
    try:
        _write(model, fresh)
        fresh.rename(kept)
    except OSError:
        if not kept.exists():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _graphs(folder: Path) -> Graphs:
    return Graphs(folder / "front.onnx", folder / "flow.onnx", folder / "decoder.onnx")


def _write(model: Path, folder: Path) -> Graphs:
    # Here, because it takes a third of a second and 40 MB that a worker with cut graphs can do without.
    from workers.tts import piper_cut

    graphs = _graphs(folder)
    piper_cut.write(model, front=graphs.front, flow=graphs.flow, decoder=graphs.decoder)
    return graphs
