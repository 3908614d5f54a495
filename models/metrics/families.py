"""Every figure that is counted: its name, its meaning, its labels. A new one is named here, counted where it happens.

Names and units are Prometheus' conventions: base units, ``_total`` is added where they are shown.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from models.metrics import counting

# Steps of a count are whole numbers, so that sums are exact in every order: thousandths of a second.
MILLI = 0.001


@dataclass(frozen=True)
class Counter:
    """A figure that only grows; one step of it stands for ``unit``."""

    name: str
    help: str
    labels: tuple[str, ...]
    unit: float = 1.0

    def add(self, *labels: str, by: float = 1) -> None:
        """Counts ``by`` (in the name's unit) under these labels, in their order."""
        counting.add((self.name, "", *labels), round(by / self.unit))


@dataclass(frozen=True)
class Histogram:
    """How often something took how long (seconds); ``bounds`` are the upper ones, the last is infinity."""

    name: str
    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]

    def observe(self, *labels: str, seconds: float) -> None:
        """Counts one that took ``seconds``."""
        bound = bisect_left(self.bounds, seconds)
        counting.add((self.name, str(self.bounds[bound]) if bound < len(self.bounds) else "+Inf", *labels), 1)
        counting.add((self.name, "sum", *labels), round(seconds / MILLI))


# From a cached answer to one that waits for a long text.
_ANSWER_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# From a sentence to a training.
_JOB_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 14400.0)

REQUESTS = Counter(
    "voiceworks_http_requests",
    "Requests answered, by surface, method, route template and status.",
    ("surface", "method", "endpoint", "status"),
)
REQUEST_SECONDS = Histogram(
    "voiceworks_http_request_duration_seconds",
    "How long it took until an answer began, by method and route template.",
    ("method", "endpoint"),
    _ANSWER_BOUNDS,
)
SPEECH_ANSWERS = Counter(
    "voiceworks_speech_answers",
    "Texts answered with speech: hit (it was there), miss (it was made), joined (somebody else had it made).",
    ("outcome",),
)
AUDIO_SECONDS = Counter("voiceworks_speech_audio_seconds", "Seconds of speech that were made.", ("engine",), MILLI)
SYNTHESIS_SECONDS = Counter(
    "voiceworks_speech_synthesis_seconds", "Seconds that workers took to make it.", ("engine",), MILLI
)
JOBS_ENDED = Counter("voiceworks_jobs_ended", "Jobs that ended, by kind and how.", ("kind", "state"))
JOB_WAITED = Histogram(
    "voiceworks_job_waiting_seconds", "How long jobs waited until a worker began.", ("kind",), _JOB_BOUNDS
)
JOB_RAN = Histogram(
    "voiceworks_job_duration_seconds", "How long jobs took from then to their end.", ("kind",), _JOB_BOUNDS
)

COUNTERS = (REQUESTS, SPEECH_ANSWERS, AUDIO_SECONDS, SYNTHESIS_SECONDS, JOBS_ENDED)
HISTOGRAMS = (REQUEST_SECONDS, JOB_WAITED, JOB_RAN)
