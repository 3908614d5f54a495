"""The tables of fine-tuning; the files beside this one alone write to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class TrainingPrompt(Base):
    """Something to be learned: what is said to a model, and what it is to answer."""

    __tablename__ = "training_prompts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    category: Mapped[str] = mapped_column(server_default=sql("''"), default="", index=True)
    system_prompt: Mapped[str] = mapped_column(server_default=sql("''"), default="")
    user_input: Mapped[str]
    expected_output: Mapped[str]
    # ``[{"name", "arguments"}]``: tools that the answer is to call.
    tool_calls: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'"), default=list)
    # What was said between the system's words and this: messages as models read them.
    history: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'"), default=list)
    tags: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'"), default=list)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class TrainingSession(Base):
    """A training; once it was started there is a job of the same id, until that is forgotten.

    ``dataset`` is what it learns from, frozen at its start: the stored ``file`` of its rows, their ``sha256``, and the
    ``prompt_ids``. ``detail`` is what is told of it: ``data_stats``, ``report``, ``warnings``. ``files`` are its
    results by their names in the zip: ``{"file", "size_bytes"}``. ``merged`` is the whole model with the job that makes
    it: ``{"job_id", "dtype", "files"}``, without ``files`` before that is done.
    """

    __tablename__ = "training_sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=sql("''"), default="")
    base_model: Mapped[str]
    config: Mapped[dict[str, Any]]
    account_id: Mapped[str | None]
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("training_workers.id", ondelete="SET NULL"))
    dataset: Mapped[dict[str, Any] | None]
    # A report may be long, and most who read of a session do not want it.
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"), default=dict, deferred=True)
    files: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"), default=dict)
    merged: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    # What it came to, for when its job is forgotten.
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("ix_training_sessions_created_at_id", "created_at", "id"),)


class TrainingPoint(Base):
    """A step of a session as it was told: ``loss``, ``epoch`` and what else is known of it."""

    __tablename__ = "training_points"

    session_id: Mapped[str] = mapped_column(ForeignKey("training_sessions.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    told: Mapped[dict[str, Any]]


class TrainingWorker(Base):
    """A worker that trains, by the number it keeps; ``node`` is its name in the register of workers."""

    __tablename__ = "training_workers"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    node: Mapped[str] = mapped_column(unique=True)
    # An operator's word: it finishes what it does, and is given nothing more.
    drained: Mapped[bool] = mapped_column(server_default=sql("false"), default=False)
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())
