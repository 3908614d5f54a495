"""Body of ``llm.handover``: a whole model is given to an Ollama, which makes it one of its own."""

from __future__ import annotations

from fnmatch import fnmatch

from models.errors import ModelError
from models.gateway import services
from tasks.run import Done, Work
from workers.clients.networks import Networks
from workers.clients.service import NoAnswer, Refused
from workers.clients.types import connect, ollama
from workers.errors import BadInput, RetryLater

# For one file, and for making the model of them: gigabytes on a slow disk.
LONGEST_SECONDS = 1800.0
# What Ollama reads of a model.
READ = ("*.safetensors", "*.json", "tokenizer.model")


def hand_over(work: Work) -> Done:
    """The model by its name there (``params``: ``session_id``, ``service_id``, ``model``, ``files``).

    ``files`` are the stored files of the model by their names. Made twice it is there once.
    """
    process, params = work.process, work.params
    try:
        with process.database.reading() as session:
            service = services.usable(services.get(session, params["service_id"]))
            key = services.key_of(service, process.settings.secret_key)
    except ModelError as fault:
        raise BadInput(fault.message, code=fault.code) from None
    files = {
        name: (stored, process.files.path(stored))
        for name, stored in params["files"].items()
        if any(fnmatch(name, pattern) for pattern in READ)
    }
    if not all(path.exists() for _, path in files.values()):
        raise BadInput("The merged model is not there any more; merge it again.", code="model_gone")
    client = connect(
        service,
        key=key,
        networks=Networks(process.settings.service_networks),
        at_least_seconds=LONGEST_SECONDS,
    )
    try:
        ollama.create(client, params["model"], files, lambda phase, share: work.report(share, phase))
    except NoAnswer as fault:
        raise RetryLater(fault.message, code=fault.code) from fault
    except Refused as fault:
        if fault.status >= 500:
            raise RetryLater(fault.message, code=fault.code) from fault
        raise BadInput(fault.message, code=fault.code) from fault
    return Done({"session_id": params["session_id"], "service_id": service.id, "model": params["model"]})
