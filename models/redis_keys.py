"""Every Redis key and channel, built here only, each with how long it lives."""

from __future__ import annotations

# Published only, never stored, read by one listener in each web process: job events; which sockets came and went in
# another web process; what every process logs.
JOB_EVENTS = "events:jobs"
PRESENCE_EVENTS = "events:presence"
LOG_EVENTS = "events:logs"

# The newest log lines of all processes, newest first; a quiet week later nobody asks for them.
RECENT_LOGS = "logs:recent"
RECENT_LOGS_KEPT = 500
RECENT_LOGS_SECONDS = 7 * 24 * 3600

# Lives for ever: what was counted, by series (models/metrics).
METRICS_TOTAL = "metrics:total"


# Set when all tasks of Label Studio were looked at; lives until they are looked at again (tasks/label_studio.py).
LABEL_STUDIO_LOOKED_AT = "label_studio:looked"
# Set when a webhook of Label Studio's had it looked at; those after it in so many seconds leave that to the clock.
LABEL_STUDIO_RUNG = "label_studio:rung"
LABEL_STUDIO_RUNG_SECONDS = 5

# Lives for ever: the device that was chosen for testing wake words.
WAKE_DEVICE = "wakeword:device"


def metrics_minute(minute: int) -> str:
    """What was counted in one minute since 1970; lives as long as its hour may still be kept in Postgres anew."""
    return f"metrics:minute:{minute}"


METRICS_MINUTE_SECONDS = 6 * 3600


def metrics_batch(process_id: str) -> str:
    """The number of the last batch that a process wrote; asked for only when a write seemed to fail."""
    return f"metrics:batch:{process_id}"


METRICS_BATCH_SECONDS = 3600

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


# When the clock (beat) rang somebody last; it rings every five seconds, so that one that is gone is missed soon.
CLOCK = "clock:rang"
CLOCK_SECONDS = 20

# A text of 20,000 characters takes a slow engine a few minutes.
SPEECH_PLAN_SECONDS = 600
SPEECH_PIECE_SECONDS = 120


# Before the counters of requests, each of which lives as long as its window, at ``STREAM_REDIS_URL``.
RATE_PREFIX = "rate"


def ticket(digest: str) -> str:
    """Who a ticket for a websocket stands for; gone when it was used, or after ``TICKET_SECONDS``."""
    return f"ticket:{digest}"


TICKET_SECONDS = 30


# The web processes that held sockets lately; each removes those that are gone.
PRESENT = "presence"


def confirmed(number: str) -> str:
    """That a token which confirmed a call was used; kept for as long as it would be good."""
    return f"confirmed:{number}"


def presence(process_id: str) -> str:
    """The ids of the sockets that one web process holds; expires unless the process says so again."""
    return f"presence:{process_id}"


# Two renewals (app/sockets/hub.py) may be late. Others look every third second, so that sockets of a process that was
# killed are counted for fifteen at most.
PRESENCE_SECONDS = 12
