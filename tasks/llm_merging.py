"""Body of ``llm.merge``: base model and adapter become one model, in a process of its own."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from models.jobs import work as units
from models.llm import merged, sessions
from tasks.folders import going_on_in
from tasks.llm_training import plan_of, removed_after_commit, stored_files
from tasks.run import Done, Work
from tasks.training import Training
from workers.clients.whole_files import write_whole


def merge(work: Work) -> Done:
    """The whole model of a session (``params``: ``session_id``, ``base_model``, ``adapter``, ``dtype``).

    ``adapter`` are the stored files by their names.
    """
    folder = sessions.folders(work.process.settings.var_dir).of_job(work.job.id)
    with going_on_in(folder, work):
        for name, stored in work.params["adapter"].items():
            # What the model's card is made of lies beside the adapter.
            link = folder / name if name == "report.json" else folder / "adapter" / name
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(work.process.files.path(stored).resolve())
        write_whole(folder / "plan.json", json.dumps(plan_of(work, adapter="adapter", dtype=work.params["dtype"])))
        training = Training(work, folder, module="workers.llm.merging")
        training.run()
        files = stored_files(work, folder / "out", training)

        def store(session: Session) -> None:
            units.hold(session, work.job)
            merged.complete(session, work.params["session_id"], job_id=work.job.id, files=files)
            removed_after_commit(session, folder)

        size_bytes = sum(each["size_bytes"] for each in files.values())
        return Done({"session_id": work.params["session_id"], "size_bytes": size_bytes}, store)
