"""Every operation of the description, asked by schemathesis in one role, and every answer held against it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, StopReason, events, from_schema
from schemathesis.specs.openapi.checks import content_type_conformance

# Something behind the server is away or fails; any other 5xx is a fault of ours.
_FAULTLESS = ("2xx", "3xx", "4xx", "502", "503")
# The address, or a header, is longer than gunicorn reads, which answers by itself.
_BEFORE_ANY_ROUTE = (414, 431)
_CHECKS = (
    "status_is_described",
    "media_type_is_described",
    "response_schema_conformance",
    "response_headers_conformance",
)


@schemathesis.check
def status_is_described(context: schemathesis.CheckContext, answer: schemathesis.Response, case: Any) -> None:
    """Only of a 5xx "default" says enough."""
    described = case.operation.definition.raw["responses"]
    status = str(answer.status_code)
    other_method = case.method.lower() not in case.operation.schema.raw_schema["paths"][case.operation.path]
    if answer.status_code >= 500 or status in described or other_method or answer.status_code in _BEFORE_ANY_ROUTE:
        return
    raise AssertionError(f"answered {status}; described are {', '.join(described)}")


@schemathesis.check
def media_type_is_described(context: schemathesis.CheckContext, answer: schemathesis.Response, case: Any) -> None:
    """Of everything that reached a route."""
    if answer.status_code not in _BEFORE_ANY_ROUTE:
        content_type_conformance(context, answer, case)


@dataclass
class Asked:
    """What came of it.

    Attributes:
        answers: How often each status came, by operation.
        by_other_methods: How many requests asked a path by a method that it has not, or OPTIONS.
        failures: A sentence for each kind of failure of each operation, with the request as a command.
        complete: Whether it went to its end.
    """

    role: str
    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    by_other_methods: int = 0
    failures: list[str] = field(default_factory=list)
    complete: bool = False

    def __str__(self) -> str:
        return (
            f"{self.role}: {len(self.answers)} operations ({self.operations(200, 299)} of them did something), "
            f"{self.cases} requests, {len(self.failures)} failures"
        )

    @property
    def cases(self) -> int:
        """How many requests were sent."""
        return self.by_other_methods + sum(counter.total() for counter in self.answers.values())

    def operations(self, low: int = 100, high: int = 599) -> int:
        """How many operations answered at least once with a status of this range."""
        return sum(any(low <= status <= high for status in counter) for counter in self.answers.values())


def ask(
    server: str, described: dict[str, Any], role: str, headers: dict[str, str], *, spared: set[str], **phases: int
) -> Asked:
    """Asks everything of a server, as far as possible the same each time: what it answers is asked with, too.

    Args:
        server: Its address.
        described: Its description.
        role: What the summary calls whom the headers belong to.
        headers: The credential.
        spared: What no path may name: who removes the account that asks is only refused from then on.
        phases: How many requests at most for an operation, by schemathesis' word for the phase; others are left out.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            # What it keeps from one run would change the next.
            "cache": {"enabled": False},
            "base-url": server,
            "headers": headers,
            "workers": 1,
            "continue-on-failure": True,
            "request-timeout": 60,
            "warnings": False,
            # It would make itself an account, and ask as that.
            "auth": {"auto-signup": False},
            "generation": {"deterministic": True, "with-security-parameters": False},
            "checks": {
                "enabled": False,
                "not_a_server_error": {"enabled": True, "expected-statuses": list(_FAULTLESS)},
            }
            | {name: {"enabled": True} for name in _CHECKS},
            "phases": {
                name: {"enabled": name in phases}
                | ({"generation": {"max-examples": phases[name]}} if phases.get(name) else {})
                for name in ("examples", "coverage", "fuzzing", "stateful")
            },
        }
    )
    asked = Asked(role)
    seen: set[str] = set()
    schema = schemathesis.openapi.from_dict(described, config=config)

    @schema.hook
    def map_case(context: schemathesis.HookContext, case: Any) -> Any:
        for name, value in case.path_parameters.items():
            if value in spared:
                case.path_parameters[name] = "nobody"
        return case

    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(asked, event.recorder, seen)
        elif isinstance(event, events.NonFatalError):
            asked.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.EngineFinished):
            asked.complete = event.stop_reason is StopReason.COMPLETED
    return asked


def _note(asked: Asked, recorder: Any, seen: set[str]) -> None:
    for number, interaction in recorder.interactions.items():
        case = recorder.cases[number].value
        if case.method.upper() != case.operation.method.upper():
            asked.by_other_methods += 1
        elif interaction.response is not None:
            asked.answers[case.operation.label][interaction.response.status_code] += 1
        for check in recorder.checks.get(number, []):
            if check.status is not Status.FAILURE:
                continue
            failure = check.failure_info.failure
            kind = f"{case.operation.label}: {failure.title}: {str(failure.message)[:300]}"
            if kind not in seen:
                seen.add(kind)
                asked.failures.append(f"{kind}\n    {check.failure_info.code_sample[:1500]}")
