"""The table of what can be queued. Bodies are named by string, so that the web process never imports an engine."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import NotFound


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    ``body`` is ``module:function``; a ``sliced`` kind's body does one item. ``attempts`` counts tries of one unit.
    ``lease_seconds`` is how long a unit of a silent worker stays its own. Jobs of an ``admin_only`` kind are changed by
    administrators only.
    """

    name: str
    body: str
    sliced: bool = False
    live: bool = False
    id_prefix: str = ""
    lease_seconds: float = 90.0
    attempts: int = 3
    admin_only: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        # Somebody waits for it: its worker's silence is noticed within ten seconds.
        Kind("speech.speak", "tasks.speech:speak", live=True, lease_seconds=10.0),
        Kind("speech.batch", "tasks.speech:batch_text", sliced=True, id_prefix="batch_"),
        Kind("speech.prefetch", "tasks.speech:prefetch_segment", sliced=True, id_prefix="prefetch_"),
        # Planned when it is due, and again while nobody can speak: for about an hour. Its voices have all night, and
        # whoever loses so many workers in a row is to blame for it.
        Kind("deployments.generate", "tasks.deployments:generate", id_prefix="deploy_", attempts=10),
        # Each try goes on with the stage at which the last one ended; the outside may be away for ten minutes.
        Kind("imports.run", "tasks.imports:run", id_prefix="import_", attempts=5),
        Kind("deployments.voice", "tasks.speech:batch_text", sliced=True, attempts=6),
        # Each try goes on with what the last one left; a worker that was killed is no fault of the training.
        Kind("wakeword.train", "tasks.wakeword:train", id_prefix="train_", attempts=5),
        Kind("wakeword.negatives", "tasks.wakeword:negatives", id_prefix="negatives_", admin_only=True),
        Kind("llm.finetune", "tasks.llm_training:finetune", id_prefix="ft_", attempts=5),
        Kind("llm.merge", "tasks.llm_merging:merge", id_prefix="merge_"),
        # An Ollama that is being started or is busy gets a quarter of an hour.
        Kind("llm.handover", "tasks.llm_handover:hand_over", id_prefix="handover_", attempts=5),
        # Somebody waits to see what a training would learn from.
        Kind("llm.preview", "tasks.llm_previewing:preview", live=True, id_prefix="preview_", lease_seconds=10.0),
        # Somebody waits to hear whether a word is in a file.
        Kind("wakeword.listen", "tasks.wake_listen:listen", live=True, id_prefix="listen_", lease_seconds=10.0),
        Kind("transcription.import", "tasks.transcription:import_batch", id_prefix="transcripts_"),
        Kind("transcription.draft", "tasks.drafts:draft", sliced=True, id_prefix="drafts_"),
        Kind("upkeep.cleanup", "tasks.cleanup:clean", id_prefix="cleanup_", admin_only=True),
    )
}


def get(name: str) -> Kind:
    """The kind with this name.

    Raises:
        NotFound: there is none.
    """
    if name not in KINDS:
        raise NotFound(f"There is no kind of job {name!r}; there are {', '.join(sorted(KINDS))}.")
    return KINDS[name]
