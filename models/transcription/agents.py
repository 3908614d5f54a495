"""Agents: whoever transcribes. They come to be with their first request; a number is all that is known of them."""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.transcription.tables import Agent


def present(session: Session, agent_id: int) -> Agent:
    """The agent, made if need be, and held until the commit: what one agent does is done one after the other."""
    here = (
        insert(Agent)
        .values(id=agent_id, last_active=func.now())
        .on_conflict_do_update(index_elements=[Agent.id], set_={"last_active": func.now()})
        .returning(Agent)
    )
    return session.scalars(here, execution_options={"populate_existing": True}).one()


def find(session: Session, agent_id: int) -> Agent | None:
    """The agent; None of one who never asked for anything."""
    return session.get(Agent, agent_id)


def get(session: Session, agent_id: int) -> Agent:
    """The agent.

    Raises:
        NotFound: nobody with this number ever asked for anything.
    """
    agent = find(session, agent_id)
    if agent is None:
        raise NotFound(f"There is no agent {agent_id}.", agent_id=agent_id)
    return agent


def lock(session: Session, agent_id: int) -> None:
    """Holds the agent until the commit, without their having done anything.

    Raises:
        NotFound: nobody with this number ever asked for anything.
    """
    get(session, agent_id)
    session.execute(select(Agent.id).where(Agent.id == agent_id).with_for_update())


def page(session: Session, *, limit: int, offset: int) -> tuple[list[Agent], int]:
    """Agents in the order of their numbers, and how many there are."""
    found = session.scalars(select(Agent).order_by(Agent.id).limit(limit).offset(offset))
    return list(found), session.scalar(select(func.count()).select_from(Agent)) or 0


def pause(session: Session, agent_id: int, why: str | None) -> Agent:
    """The agent, who gets no tasks any more; with None they do again. What they hold stays theirs.

    Raises:
        NotFound: there is none.
    """
    changed = session.scalars(
        update(Agent).where(Agent.id == agent_id).values(paused=why).returning(Agent),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if changed is None:
        raise NotFound(f"There is no agent {agent_id}.", agent_id=agent_id)
    return changed
