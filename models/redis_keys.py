"""Every Redis key and channel, built here only, each with how long it lives."""

from __future__ import annotations

# Published only, never stored: job events, read by one listener in each web process.
JOB_EVENTS = "events:jobs"

# Lives for ever: how often speech was found ready and how often it had to be made.
SPEECH_COUNTERS = "counters:speech"

# Progress of one job is published at most once in this time, whoever works on it.
PROGRESS_GAP_MILLISECONDS = 250


def progress_gate(job_id: str) -> str:
    """Held while a job's progress was published less than ``PROGRESS_GAP_MILLISECONDS`` ago; expires by itself."""
    return f"gate:progress:{job_id}"


def idle_workers(lane: str) -> str:
    """The resident workers of a lane that have nothing to do; lives as long as one of them has not."""
    return f"idle:{lane}"


def presence(process_id: str) -> str:
    """How many sockets one web process holds; expires 15 s after the process last said so."""
    return f"presence:{process_id}"


PRESENCE_PATTERN = "presence:*"
PRESENCE_SECONDS = 15
