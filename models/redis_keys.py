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


def stopped(job_id: str) -> str:
    """Set when a running job was cancelled, so that its worker need not ask Postgres between two pieces of work."""
    return f"stopped:{job_id}"


# The longest that a worker can be at work on something that was cancelled.
STOPPED_SECONDS = 600


def speech_stream(job_id: str) -> str:
    """The sound of a live job while it is made, at ``STREAM_REDIS_URL``."""
    return f"speech:{job_id}"


# From the last piece of one that is being made; from the end of one that was.
SPEECH_STREAM_SECONDS = 300
SPEECH_STREAM_ENDED_SECONDS = 60


def speech_plan(job_id: str) -> str:
    """What several workers speak of one long live text."""
    return f"speech-plan:{job_id}"


def speech_piece(job_id: str, number: int) -> str:
    """A piece of it that was handed over."""
    return f"speech-piece:{job_id}:{number}"


# A text of 20,000 characters takes a slow engine a few minutes.
SPEECH_PLAN_SECONDS = 600
SPEECH_PIECE_SECONDS = 120


def presence(process_id: str) -> str:
    """How many sockets one web process holds; expires 15 s after the process last said so."""
    return f"presence:{process_id}"


PRESENCE_PATTERN = "presence:*"
PRESENCE_SECONDS = 15
