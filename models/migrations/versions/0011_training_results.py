"""Curves of trainings point by point, merged models, and why a session failed once its job is forgotten."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "training_points",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("told", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["training_sessions.id"],
            name=op.f("fk_training_points_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", "step", name=op.f("pk_training_points")),
    )
    for name in ("merged", "error"):
        column = sa.Column(name, postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True)
        op.add_column("training_sessions", column)
    op.execute(
        "INSERT INTO training_points (session_id, step, told) "
        "SELECT id, (point ->> 'step')::integer, point "
        "FROM training_sessions, jsonb_array_elements(detail -> 'loss_history') AS point ON CONFLICT DO NOTHING"
    )
    op.execute("UPDATE training_sessions SET detail = detail - 'loss_history'")


def downgrade() -> None:
    op.execute(
        "UPDATE training_sessions SET detail = detail || jsonb_build_object('loss_history', points) "
        "FROM (SELECT session_id, jsonb_agg(told ORDER BY step) AS points FROM training_points GROUP BY session_id) "
        "AS curves WHERE id = session_id"
    )
    op.drop_column("training_sessions", "error")
    op.drop_column("training_sessions", "merged")
    op.drop_table("training_points")
