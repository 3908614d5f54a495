"""Curves of trainings: each step once, what is told of it again counts, thinned where they are long."""

from __future__ import annotations

import itertools

from models.db import Database
from models.llm import curves, sessions
from models.llm.curves import POINTS_SHOWN

POINT = {"step": 1, "loss": 2.0, "tokens_per_second": 9.0}


def session_of(database: Database) -> str:
    with database.transaction() as session:
        fields = {"name": "session", "base_model": "tiny", "config": {}}
        return sessions.create(session, fields, account_id=None).row.id


def test_a_step_that_is_told_again_is_there_once_with_all_that_was_told(empty: None, database: Database) -> None:
    made = session_of(database)
    with database.transaction() as session:
        curves.add(session, made, [])
        assert (curves.whole(session, made), curves.last(session, made)) == ([], None)
        curves.add(session, made, [POINT, {"step": 2, "loss": 1.0}, {"step": 2, "loss": 0.9}])
        curves.add(session, made, [{"step": 1, "loss": 1.5, "eval_loss": 3.0}])
    with database.transaction() as session:
        assert curves.whole(session, made) == [
            {"step": 1, "loss": 1.5, "eval_loss": 3.0, "tokens_per_second": 9.0},
            {"step": 2, "loss": 0.9},
        ]
        assert curves.last(session, made) == {"step": 2, "loss": 0.9}
        assert curves.whole(session, session_of(database)) == []


def test_a_long_curve_is_thinned_evenly_and_keeps_its_last_point(empty: None, database: Database) -> None:
    made, steps = session_of(database), 2 * POINTS_SHOWN + 1
    with database.transaction() as session:
        curves.add(session, made, [{"step": step, "loss": 1 / step} for step in range(1, steps + 1)])
        shown = [point["step"] for point in curves.whole(session, made)]
    assert len(shown) <= POINTS_SHOWN + 1
    assert shown[-1] == steps
    apart = {after - before for before, after in itertools.pairwise(shown[:-1])}
    assert apart == {3}


def test_a_curve_goes_with_its_session(empty: None, database: Database) -> None:
    made = session_of(database)
    with database.transaction() as session:
        curves.add(session, made, [POINT])
        sessions.remove(session, made, visible_to=None)
    with database.transaction() as session:
        assert curves.whole(session, made) == []
