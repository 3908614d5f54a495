"""Body of ``transcription.import``: sound that was sent becomes tasks; all of it or, where something is wrong, none."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from models.jobs import work as units
from models.transcription import batches, tasks
from models.transcription.tasks import NewTask, Sound
from tasks import drafts
from tasks.folders import going_on_in
from tasks.run import Done, Work
from workers.errors import BadInput
from workers.transcripts import batch, sound

# Of what is no sound; the rest of such a list is of the same kind.
_SHOWN = 100


def import_batch(work: Work) -> Done:
    """What was sent as ``upload``, under these ``names`` and with that ``manifest`` (all in ``params``), as tasks."""
    folders = batches.folders(work.process.settings.var_dir)
    folder = folders.of_job(work.job.id)
    with going_on_in(folder, work):
        place = folders.uploads / work.params["upload"]
        files = {name: place / str(number) for number, name in enumerate(work.params["names"])}
        sent, others = batch.read(files, work.params["manifest"])
        new: list[NewTask] = []
        for number, each in enumerate(sent):
            work.report(number / len(sent), f"file {number + 1} of {len(sent)}")
            try:
                with each.unpacked(folder / "sound") as file:
                    looked = sound.look(file)
            except BadInput as fault:
                raise BadInput(f"{each.name!r}: {fault.message}", code=fault.code) from None
            # Kept by its content: tried again, it is there.
            stored = Sound(
                work.process.files.put(looked.content), looked.media_type, looked.duration_seconds, looked.peaks
            )
            said = each.said
            name = each.name.rpartition("/")[2]
            new.append(NewTask(name, stored, language=said.language, draft=said.draft, gold_text=said.gold))
    result: dict[str, Any] = {"passed_over": others[:_SHOWN]}

    def store(session: Session) -> None:
        units.hold(session, work.job)
        result["task_ids"] = tasks.add(
            session,
            new,
            account_id=work.job.account_id,
            double_percent=work.process.settings.transcription_double_percent,
        )
        drafts.plan(session, work.process.settings, result["task_ids"], account_id=work.job.account_id)

    return Done(result, store=store)
