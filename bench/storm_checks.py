"""What is true after a storm, and at every moment of it: in Postgres, in Label Studio, and in the product's answers."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import requests
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bench.studio import There
from bench.transcribers import Acknowledged
from models.db import Database
from models.transcription.tables import ACCEPTED, ACTIVE, DONE, SKIPPED, WRITTEN, Agent, Annotation, Assignment, Task

RATE = Decimal("0.05")
_EVERY_SECONDS = 0.1
# One statement sees one moment: what a transaction does is done in it, or not at all.
_MOMENT = text("""
    SELECT
        (SELECT count(*) FROM (SELECT FROM transcription_assignments WHERE state IN ('active', 'accepted')
            GROUP BY task_id HAVING count(*) > 1) several) AS tasks_in_two_hands,
        (SELECT count(*) FROM (SELECT FROM transcription_assignments WHERE state = 'active'
            GROUP BY agent_id HAVING count(*) > 1) several) AS agents_with_two_tasks,
        (SELECT count(*) FROM transcription_assignments WHERE state = 'accepted')
            - (SELECT count(*) FROM transcription_annotations) AS accepted_without_text,
        (SELECT count(*) FROM transcription_annotations)
            - (SELECT count(*) FROM transcription_ledger WHERE kind = 'earned') AS texts_without_pay,
        (SELECT coalesce(sum(amount), 0) FROM transcription_ledger)
            - (SELECT coalesce(sum(earnings), 0) FROM transcription_agents) AS ledger_less_totals,
        (SELECT count(*) FROM transcription_tasks task WHERE taken <> (SELECT count(*)
            FROM transcription_assignments held WHERE held.task_id = task.id AND held.state IN ('active', 'accepted'))
        ) AS tasks_with_a_wrong_count
""")
_INDEXES = text("""
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indisunique AND indisvalid AND relname LIKE 'uq_transcription_%'
""")
_PROMISES = {
    "uq_transcription_assignments_slot",
    "uq_transcription_assignments_agent",
    "uq_transcription_assignments_task_agent",
    "uq_transcription_ledger_annotation_kind",
}


class Watch(threading.Thread):
    """Looks ten times a second whether all adds up."""

    def __init__(self, database: Database) -> None:
        super().__init__(name="watch")
        self._database = database
        self._over = threading.Event()
        self.looks = 0
        self.wrong: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        """Looks."""
        while not self._over.wait(_EVERY_SECONDS):
            try:
                with self._database.reading() as session:
                    found = session.execute(_MOMENT).one()._mapping
            except SQLAlchemyError as fault:
                self.faults.append(str(fault)[:300])
                continue
            self.looks += 1
            self.wrong.update(name for name, value in found.items() if value)

    def finish(self) -> None:
        """It looks no more."""
        self._over.set()
        self.join()


@dataclass
class Verdict:
    """Every question, what is right and what was found."""

    rows: list[tuple[str, Any, Any]] = field(default_factory=list)

    def ask(self, what: str, right: Any, found: Any) -> None:
        """Notes an answer."""
        self.rows.append((what, right, found))

    @property
    def wrong(self) -> list[str]:
        """Questions with a wrong answer."""
        return [what for what, right, found in self.rows if right != found]


@dataclass(frozen=True)
class Text:
    """A text that was taken, with whom and what it is about."""

    annotation: Annotation
    assignment: Assignment


def texts(session: Session) -> list[Text]:
    """All texts, with their assignments."""
    rows = session.execute(select(Annotation, Assignment).join(Assignment, Annotation.assignment_id == Assignment.id))
    found = [Text(annotation, assignment) for annotation, assignment in rows]
    session.expunge_all()
    return found


def of_postgres(
    verdict: Verdict, database: Database, names: Mapping[str, Decimal], acknowledged: list[Acknowledged]
) -> list[Text]:
    """Asks Postgres; ``names`` are the files that were brought, and how long each is."""
    with database.snapshot() as session:
        tasks = list(session.scalars(select(Task)))
        assignments = list(session.scalars(select(Assignment)))
        indexes = set(session.scalars(_INDEXES))
        moment = session.execute(_MOMENT).one()._mapping
        found = texts(session)
    verdict.ask("tasks, as files were brought", sorted(names), sorted(_name(task.file_name) for task in tasks))
    verdict.ask("tasks that are done", len(names), sum(task.state == DONE for task in tasks))
    verdict.ask("tasks whose length is right", len(names), sum(_length(names, task) for task in tasks))
    accepted = Counter(each.task_id for each in assignments if each.state == ACCEPTED)
    verdict.ask("tasks accepted exactly once", len(names), sum(accepted[task.id] == 1 for task in tasks))
    verdict.ask("assignments still in somebody's hands", 0, sum(each.state == ACTIVE for each in assignments))
    verdict.ask(
        "texts, one for each accepted assignment",
        sorted(each.id for each in assignments if each.state == ACCEPTED),
        sorted(each.assignment.id for each in found),
    )
    verdict.ask("texts that are written", len(names), sum(each.annotation.state == WRITTEN for each in found))
    verdict.ask("unique indexes, valid", _PROMISES, indexes & _PROMISES)
    for name, value in moment.items():
        verdict.ask(name.replace("_", " ") + ", in the end", 0, int(value) if value == int(value) else value)
    here = {each.annotation.id: each.annotation for each in found}
    lost = [heard for heard in acknowledged if not _is(here.get(heard.annotation_id), heard)]
    verdict.ask(f"lost or changed, of {len(acknowledged)} answers that a text was taken", [], lost)
    return found


def of_studio(
    verdict: Verdict, found: list[Text], exported: Mapping[int, list[There]], read_back: Mapping[int, list[There]]
) -> None:
    """Asks Label Studio, by its export and by its own client."""
    ours = {each.annotation.task_id: [_written(each.annotation)] for each in found}
    verdict.ask("annotations in its export", len(found), sum(map(len, exported.values())))
    verdict.ask("annotations by its own client", len(found), sum(map(len, read_back.values())))
    verdict.ask("tasks there with none", [], sorted(task for task, had in exported.items() if not had))
    verdict.ask("tasks there with several", [], sorted(task for task, had in exported.items() if len(had) > 1))
    verdict.ask("number, text and name of each, in its export", ours, dict(exported))
    plain = {task: [There(each.id, each.text) for each in had] for task, had in ours.items()}
    verdict.ask("number and text of each, by its own client", plain, dict(read_back))


def of_money(verdict: Verdict, database: Database, found: list[Text], names: Mapping[str, Decimal]) -> Decimal:
    """Asks the ledger and the totals of agents; the sum of lengths times rate, by the files that were brought."""
    with database.snapshot() as session:
        file_names = {task.id: _name(task.file_name) for task in session.scalars(select(Task))}
        rows = session.execute(
            text("SELECT agent_id, sum(amount), count(*) FROM transcription_ledger GROUP BY agent_id")
        )
        ledger = {agent: (amount, count) for agent, amount, count in rows}
        kinds = set(session.scalars(text("SELECT DISTINCT kind FROM transcription_ledger")))
        agents = {agent.id: agent for agent in session.scalars(select(Agent))}
        skips = Counter(session.scalars(select(Assignment.agent_id).where(Assignment.state == SKIPPED)))
        session.expunge_all()
    seconds: defaultdict[int, Decimal] = defaultdict(Decimal)
    count: Counter[int] = Counter()
    for each in found:
        seconds[each.annotation.agent_id] += names[file_names[each.annotation.task_id]]
        count[each.annotation.agent_id] += 1
    right = {agent: (seconds[agent] * RATE, count[agent]) for agent in seconds}
    whole = sum(names.values()) * RATE
    verdict.ask("kinds of lines in the ledger", {"earned"}, kinds)
    verdict.ask("ledger in all = all lengths × rate", whole, sum(amount for amount, _ in ledger.values()))
    verdict.ask("ledger of each agent = theirs × rate", right, ledger)
    totals = {id: (agent.earnings, agent.tasks_completed) for id, agent in agents.items() if agent.tasks_completed}
    verdict.ask("totals of each agent", right, totals)
    lengths = {id: agent.duration_seconds for id, agent in agents.items() if agent.duration_seconds}
    verdict.ask("seconds of each agent", dict(seconds), lengths)
    verdict.ask("skips of each agent", dict(skips), {i: each.tasks_skipped for i, each in agents.items() if i in skips})
    return Decimal(whole)


def of_answers(verdict: Verdict, client: requests.Session, url: str, database: Database, found: list[Text]) -> None:
    """Asks the product what it says of it all."""

    def ask(path: str) -> Any:
        answer = client.get(f"{url}{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    with database.snapshot() as session:
        agents = list(session.scalars(select(Agent)))
        session.expunge_all()
    earned = {agent.id: _shown(agent.earnings) for agent in agents}
    stats = {agent.id: ask(f"/api/agents/{agent.id}/stats") for agent in agents}
    verdict.ask("/api/agents/{id}/stats, earnings", earned, {id: said["total_earnings"] for id, said in stats.items()})
    shown = {id: (said["total_tasks_completed"], said["total_tasks_skipped"]) for id, said in stats.items()}
    counted = {agent.id: (agent.tasks_completed, agent.tasks_skipped) for agent in agents}
    verdict.ask("/api/agents/{id}/stats, tasks and skips", counted, shown)
    statements = {each["agent_id"]: each for each in ask("/api/transcription/statements")["statements"]}
    working = {id: amount for id, amount in earned.items() if id in statements}
    verdict.ask("/api/transcription/statements, agents", {each.annotation.agent_id for each in found}, set(statements))
    verdict.ask("/api/transcription/statements, earned", working, {i: said["earned"] for i, said in statements.items()})
    balances = {each["agent_id"]: each["balance"] for each in ask("/api/transcription/agents?limit=200")["agents"]}
    verdict.ask("/api/transcription/agents, balance", earned, balances)
    counts = {"available": 0, "total_unlabeled": 0, "total_locked": 0}
    verdict.ask("/api/tasks/available/count", counts, ask("/api/tasks/available/count"))
    ours = {each.annotation.task_id: [_written(each.annotation)] for each in found}
    told = {
        row["task_id"]: [There(each["label_studio_annotation_id"], each["text"]) for each in row["annotations"]]
        for row in ask("/api/transcription/export?format=json")
    }
    plain = {task: [There(each.id, each.text) for each in had] for task, had in ours.items()}
    verdict.ask("/api/transcription/export, texts and numbers", plain, told)


def _name(stored: str) -> str:
    # Label Studio puts a few letters of its own before it.
    return stored.partition("-")[2]


def _length(names: Mapping[str, Decimal], task: Task) -> bool:
    return task.duration_seconds == names.get(_name(task.file_name))


def _written(annotation: Annotation) -> There:
    return There(annotation.label_studio_annotation_id or 0, annotation.text, annotation.unique_id)


def _is(annotation: Annotation | None, heard: Acknowledged) -> bool:
    return annotation is not None and (annotation.task_id, annotation.agent_id, annotation.text) == (
        heard.task_id,
        heard.agent_id,
        heard.text,
    )


def _shown(amount: Decimal) -> float:
    return float(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))
