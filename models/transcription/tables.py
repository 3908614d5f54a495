"""The tables of transcription; the files beside this one alone write to them.

Whoever changes an assignment locks rows in this order: the agent, the task, the assignment.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Numeric, SmallInteger, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

# Where tasks come from; only one of them is asked at a time.
BUILT_IN, LABEL_STUDIO = "built_in", "label_studio"

# A task: its sound is not looked at yet, it can be had, it has all its texts, too many skipped it, its sound cannot be
# used, it is no more where it came from.
NEW, OPEN, DONE, PARKED, BROKEN, GONE = "new", "open", "done", "parked", "broken", "gone"
# An assignment: in somebody's hands, their text was taken, they skipped it, their time ran out, it came to nothing.
ACTIVE, ACCEPTED, SKIPPED, EXPIRED, VOID = "active", "accepted", "skipped", "expired", "void"
# An annotation: it is kept here, it is to be written to Label Studio, it is there, it cannot be there.
KEPT, PENDING, WRITTEN, REFUSED = "kept", "pending", "written", "refused"
# Why money moves.
EARNED, REVERSED, BONUS, PAID_OUT = "earned", "reversed", "bonus", "paid_out"

# To a hundredth of a second, so that what a task earns at the usual rates is a whole number of the ledger's units.
Seconds = Numeric(12, 2)
Money = Numeric(12, 4)


class Task(Base):
    """Something to transcribe. ``slots`` people write it down, ``taken`` of these slots are held or done."""

    __tablename__ = "transcription_tasks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    source: Mapped[str]
    state: Mapped[str]
    # In the order of this they are given out; a skipped one goes to the end.
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    slots: Mapped[int] = mapped_column(SmallInteger, server_default=sql("1"), default=1)
    taken: Mapped[int] = mapped_column(SmallInteger, server_default=sql("0"), default=0)
    file_name: Mapped[str]
    # Of the stored file; of Label Studio's tasks only while they are to be had.
    file: Mapped[str | None]
    media_type: Mapped[str | None]
    # Where Label Studio has it.
    audio_url: Mapped[str | None]
    duration_seconds: Mapped[Decimal | None] = mapped_column(Seconds)
    # The height of the sound's outline in so many equal parts of it, 0..100.
    peaks: Mapped[list[Any] | None]
    language: Mapped[str | None]
    # What a recogniser heard, or the manifest said.
    draft: Mapped[str | None]
    # What is right, of a task that is known: it is for finding out how well people hear.
    gold_text: Mapped[str | None]
    # Shares of words and of characters in which its two texts differ, once there are two.
    word_difference: Mapped[float | None]
    character_difference: Mapped[float | None]
    # What a manager decided where they do.
    final_text: Mapped[str | None]
    # Skips from before this are forgiven.
    skips_count_from: Mapped[datetime] = mapped_column(server_default=func.now())
    problem: Mapped[str | None]
    account_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]

    __table_args__ = (
        # What can be had, in order: the claim reads no further than the first that it may take.
        Index(
            "ix_transcription_tasks_free",
            "source",
            "queued_at",
            "id",
            postgresql_where=sql("state = 'open' AND taken < slots AND gold_text IS NULL"),
        ),
        Index("ix_transcription_tasks_gold", "source", postgresql_where=sql("gold_text IS NOT NULL")),
        Index("ix_transcription_tasks_source_state_id", "source", "state", "id"),
        Index("ix_transcription_tasks_file", "file"),
    )


class Agent(Base):
    """Somebody who transcribes; the totals are those of their assignments and of the ledger."""

    __tablename__ = "transcription_agents"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tasks_completed: Mapped[int] = mapped_column(server_default=sql("0"), default=0)
    tasks_skipped: Mapped[int] = mapped_column(server_default=sql("0"), default=0)
    duration_seconds: Mapped[Decimal] = mapped_column(Numeric(14, 2), server_default=sql("0"), default=Decimal())
    earnings: Mapped[Decimal] = mapped_column(Numeric(14, 4), server_default=sql("0"), default=Decimal())
    # Why they get no tasks now; None where they do.
    paused: Mapped[str | None]
    last_active: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Assignment(Base):
    """A task in somebody's hands, or what became of it. ``slot`` counts from 1 to the task's ``slots``."""

    __tablename__ = "transcription_assignments"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("transcription_tasks.id", ondelete="CASCADE"))
    agent_id: Mapped[int] = mapped_column(ForeignKey("transcription_agents.id"))
    slot: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(default=ACTIVE)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # Of a skip; of one that came to nothing, why.
    reason: Mapped[str | None]
    # A text that came and could not be taken.
    kept_text: Mapped[str | None]

    __table_args__ = (
        # The three promises: no task in two hands nor transcribed twice in a slot, no agent with two tasks, nobody
        # twice at one task.
        Index(
            "uq_transcription_assignments_slot",
            "task_id",
            "slot",
            unique=True,
            postgresql_where=sql("state IN ('active', 'accepted')"),
        ),
        Index("uq_transcription_assignments_agent", "agent_id", unique=True, postgresql_where=sql("state = 'active'")),
        Index(
            "uq_transcription_assignments_task_agent",
            "task_id",
            "agent_id",
            unique=True,
            postgresql_where=sql("state IN ('active', 'accepted')"),
        ),
        Index("ix_transcription_assignments_lease", "lease_until", postgresql_where=sql("state = 'active'")),
        # What an agent skipped lately.
        Index(
            "ix_transcription_assignments_skipped",
            "agent_id",
            "ended_at",
            "task_id",
            postgresql_where=sql("state = 'skipped'"),
        ),
        Index("ix_transcription_assignments_task_id_agent_id", "task_id", "agent_id"),
        Index("ix_transcription_assignments_agent_id_ended_at", "agent_id", "ended_at"),
    )


class Annotation(Base):
    """A text that was taken, and how far it is on its way to Label Studio; ``unique_id`` is its name there."""

    __tablename__ = "transcription_annotations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    assignment_id: Mapped[int] = mapped_column(
        ForeignKey("transcription_assignments.id", ondelete="CASCADE"), unique=True
    )
    task_id: Mapped[int] = mapped_column(ForeignKey("transcription_tasks.id", ondelete="CASCADE"), index=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("transcription_agents.id"))
    text: Mapped[str]
    # From the claim to the text.
    worked_seconds: Mapped[Decimal] = mapped_column(Seconds)
    state: Mapped[str]
    unique_id: Mapped[str] = mapped_column(unique=True)
    label_studio_annotation_id: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(server_default=sql("0"), default=0)
    # While it is being written it lies ahead of the attempt: whoever dies over it is followed by another then.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    problem: Mapped[str | None]
    # Of a task whose text is known.
    word_error_rate: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    written_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_transcription_annotations_due", "due_at", postgresql_where=sql("state = 'pending'")),
        Index("ix_transcription_annotations_agent_id_created_at", "agent_id", "created_at"),
    )


class Entry(Base):
    """A line of the ledger, which is only ever added to. ``amount`` is negative for what is taken back or paid out."""

    __tablename__ = "transcription_ledger"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agent_id: Mapped[int] = mapped_column(ForeignKey("transcription_agents.id"))
    annotation_id: Mapped[int | None] = mapped_column(ForeignKey("transcription_annotations.id"))
    kind: Mapped[str]
    duration_seconds: Mapped[Decimal | None] = mapped_column(Seconds)
    rate_per_second: Mapped[Decimal | None] = mapped_column(Numeric(12, 6))
    amount: Mapped[Decimal] = mapped_column(Money)
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        # Nobody is paid twice for one text, nor is it taken back twice.
        Index(
            "uq_transcription_ledger_annotation_kind",
            "annotation_id",
            "kind",
            unique=True,
            postgresql_where=sql("annotation_id IS NOT NULL"),
        ),
        Index("ix_transcription_ledger_agent_id_created_at", "agent_id", "created_at"),
    )
