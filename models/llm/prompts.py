"""Prompts: what language models are trained with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, Text, any_, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models import unique
from models.errors import Conflict, Invalid, NotFound
from models.llm.tables import TrainingPrompt


def page(
    session: Session, *, category: str | None, tag: str | None, limit: int, offset: int
) -> tuple[list[TrainingPrompt], int]:
    """Prompts in the order of their numbers, and how many there are."""
    wanted = [] if category is None else [TrainingPrompt.category == category]
    if tag is not None:
        wanted.append(TrainingPrompt.tags.contains([tag]))
    found = session.scalars(
        select(TrainingPrompt).where(*wanted).order_by(TrainingPrompt.id).limit(limit).offset(offset)
    )
    return list(found), session.scalar(select(func.count()).select_from(TrainingPrompt).where(*wanted)) or 0


def everything(session: Session) -> list[TrainingPrompt]:
    """All of them, in the order of their numbers."""
    return list(session.scalars(select(TrainingPrompt).order_by(TrainingPrompt.id)))


def get(session: Session, prompt_id: int) -> TrainingPrompt:
    """The prompt.

    Raises:
        NotFound: there is none.
    """
    prompt = session.get(TrainingPrompt, prompt_id)
    if prompt is None:
        raise NotFound(f"There is no prompt {prompt_id}.", code="prompt_not_found", prompt_id=prompt_id)
    return prompt


def create(session: Session, fields: Mapping[str, Any]) -> TrainingPrompt:
    """A new prompt.

    Raises:
        Conflict: there is one of this name.
    """
    prompt = TrainingPrompt(**fields)
    session.add(prompt)
    unique.flush(session, f"There is a prompt {fields['name']!r} already.")
    session.refresh(prompt)
    return prompt


def create_all(session: Session, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The numbers of new prompts, in their order.

    Raises:
        Conflict: there are prompts of some of these names.
    """
    if known := named(session, {row["name"] for row in rows}):
        raise Conflict(f"There are prompts of these names already: {', '.join(sorted(known)[:20])}.")
    made = [TrainingPrompt(**row) for row in rows]
    session.add_all(made)
    unique.flush(session, "There are prompts of some of these names already.")
    return [prompt.id for prompt in made]


def change(session: Session, prompt_id: int, fields: Mapping[str, Any]) -> TrainingPrompt:
    """The prompt with these ``fields``; sessions that were started keep it as it was.

    Raises:
        NotFound: there is none.
        Conflict: there is another of this name.
    """
    prompt = get(session, prompt_id)
    for name, value in fields.items():
        setattr(prompt, name, value)
    unique.flush(session, f"There is a prompt {fields.get('name')!r} already.")
    session.refresh(prompt)
    return prompt


def remove(session: Session, prompt_id: int) -> None:
    """Removes the prompt; sessions that were started keep it.

    Raises:
        NotFound: there is none.
    """
    get(session, prompt_id)
    session.execute(delete(TrainingPrompt).where(TrainingPrompt.id == prompt_id))


def chosen(session: Session, ids: Sequence[int] | None) -> list[TrainingPrompt]:
    """These prompts in their order, or (None) all of them.

    Raises:
        Invalid: there are none, or some of these are not there.
    """
    if ids is None:
        found = everything(session)
    else:
        wanted = TrainingPrompt.id == any_(literal([*ids], ARRAY(Integer)))
        by_id = {each.id: each for each in session.scalars(select(TrainingPrompt).where(wanted))}
        if missing := [number for number in dict.fromkeys(ids) if number not in by_id]:
            shown = ", ".join(map(str, missing[:20]))
            raise Invalid(f"prompt_ids: there is no prompt {shown}", prompt_ids=missing)
        found = [by_id[number] for number in dict.fromkeys(ids)]
    if not found:
        raise Invalid("prompt_ids: there are no prompts to learn from")
    return found


def named(session: Session, names: Collection[str]) -> set[str]:
    """Which of these names prompts have."""
    wanted = TrainingPrompt.name == any_(literal([*names], ARRAY(Text)))
    return set(session.scalars(select(TrainingPrompt.name).where(wanted)))
