"""Courses are searched by their words."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_curricula_words",
        "curricula",
        [sa.literal_column("to_tsvector('english'::regconfig, (title || ' '::text) || description)")],
        postgresql_using="gin",
    )
    op.create_index(
        "ix_segments_words", "segments", [sa.literal_column("to_tsvector('english', text)")], postgresql_using="gin"
    )


def downgrade() -> None:
    op.drop_index("ix_segments_words", table_name="segments")
    op.drop_index("ix_curricula_words", table_name="curricula")
