"""Whether an outside service is well: it is reached, it is what it is said to be, and it takes our key."""

from __future__ import annotations

import time
from dataclasses import dataclass

from workers.clients.networks import Networks
from workers.clients.service import Client, ServiceError
from workers.clients.service_type import ServiceType
from workers.clients.types import Reached, connect, kind_of
from workers.errors import BadInput

# Whoever takes longer to say that it is well is not.
LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Found:
    """What a look found; ``problem`` says why the service is not well. It was reached within ``response_time_ms``."""

    healthy: bool
    response_time_ms: int
    problem: str | None = None


def look_at(service: Reached, *, key: str | None, networks: Networks) -> Found:
    """What is found of a service now, within ``LOOK_SECONDS``."""
    return look(kind_of(service.type), connect(service, key=key, networks=networks, longest_seconds=LOOK_SECONDS))


def look(kind: ServiceType, client: Client) -> Found:
    """What is found of a service of that type now."""
    began = time.monotonic()
    problem = None
    try:
        kind.probe(client)
    except (ServiceError, BadInput) as fault:
        problem = f"{fault.message} It was asked at {client.url}."
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        problem = f"{client.name} answers what no {kind.title} does."
    return Found(problem is None, round((time.monotonic() - began) * 1000), problem)
