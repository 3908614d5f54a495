"""Search in courses: words of titles, descriptions and segments, by Postgres' full-text search."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select, union_all
from sqlalchemy.orm import Session

from models.curricula import Curriculum, Segment

# English stems where they fit; other languages are found by their words as they stand.
_LANGUAGE: ColumnElement[str] = literal_column("'english'")
# In a list nobody reads more of one course.
SNIPPETS = 3
_MARKS = "StartSel=**, StopSel=**, MaxWords=25, MinWords=12"


@dataclass
class Hit:
    """A course that was found, with places in it."""

    curriculum: Curriculum
    matches: list[dict[str, Any]] = field(default_factory=list)


def search(session: Session, text: str, *, limit: int, offset: int) -> tuple[list[Hit], int]:
    """Courses in which the words occur, the best first, and how many there are.

    ``text`` is read as in web searches: words, "a phrase", or, -not.
    """
    query = func.websearch_to_tsquery(_LANGUAGE, text)
    # Written as in the index, or the index is of no use.
    head = Curriculum.title + literal_column("' '") + Curriculum.description
    in_head = select(
        Curriculum.id.label("id"), (4 * func.ts_rank(func.to_tsvector(_LANGUAGE, head), query)).label("rank")
    ).where(func.to_tsvector(_LANGUAGE, head).op("@@")(query))
    in_text = select(
        Segment.curriculum_id.label("id"), func.ts_rank(func.to_tsvector(_LANGUAGE, Segment.text), query).label("rank")
    ).where(func.to_tsvector(_LANGUAGE, Segment.text).op("@@")(query))
    both = union_all(in_head, in_text).subquery()
    ranked = select(both.c.id, func.sum(both.c.rank).label("rank")).group_by(both.c.id).subquery()
    total = session.scalar(select(func.count()).select_from(ranked)) or 0
    chosen = select(Curriculum).join(ranked, ranked.c.id == Curriculum.id)
    chosen = chosen.order_by(ranked.c.rank.desc(), Curriculum.created_at.desc()).limit(limit).offset(offset)
    hits = {found.id: Hit(found) for found in session.scalars(chosen)}
    places = (
        select(
            Segment.curriculum_id,
            Segment.topic_id,
            Segment.id,
            func.ts_headline(_LANGUAGE, Segment.text, query, _MARKS),
            func.row_number().over(partition_by=Segment.curriculum_id, order_by=Segment.position).label("number"),
        )
        .where(Segment.curriculum_id.in_(hits), func.to_tsvector(_LANGUAGE, Segment.text).op("@@")(query))
        .subquery()
    )
    for curriculum_id, topic_id, segment_id, snippet, _ in session.execute(
        select(places).where(places.c.number <= SNIPPETS)
    ):
        hits[curriculum_id].matches.append({"topic_id": topic_id, "segment_id": segment_id, "snippet": snippet})
    return list(hits.values()), total
