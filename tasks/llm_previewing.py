"""Body of ``llm.preview``: what a training would learn from, as text and in tokens, while somebody waits for it."""

from __future__ import annotations

import json
import shutil

from models.llm import sessions
from tasks.folders import going_on_in
from tasks.llm_training import prepare
from tasks.run import Done, Work
from tasks.training import Training


def preview(work: Work) -> Done:
    """The preview (``params``: ``base_model``, ``config``, ``rows`` as of a training)."""
    folder = sessions.folders(work.process.settings.var_dir).of_job(work.job.id)
    try:
        with going_on_in(folder, work):
            prepare(work, folder, name="preview", config=work.params["config"])
            Training(work, folder, module="workers.llm.previewing").run()
            return Done(json.loads((folder / "out" / "preview.json").read_text(encoding="utf-8")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
