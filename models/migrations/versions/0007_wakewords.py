"""Detectors of wake words, their trainings, and clips that were captured for the next."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wake_captures",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wake_captures")),
    )
    op.create_index(op.f("ix_wake_captures_file"), "wake_captures", ["file"], unique=False)
    op.create_index("ix_wake_captures_slug_created_at", "wake_captures", ["slug", "created_at"], unique=False)
    op.create_table(
        "wake_models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("wake_word", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("report", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("files", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("recordings", postgresql.JSONB(none_as_null=True), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_wake_models_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wake_models")),
    )
    op.create_index(op.f("ix_wake_models_job_id"), "wake_models", ["job_id"], unique=False)
    op.create_index("uq_wake_models_active", "wake_models", ["slug"], unique=True, postgresql_where=sa.text("active"))
    op.create_index("uq_wake_models_slug_version", "wake_models", ["slug", "version"], unique=True)
    op.create_table(
        "wake_trainings",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("wake_word", sa.Text(), nullable=False),
        sa.Column("clips", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("detail", postgresql.JSONB(none_as_null=True), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_wake_trainings_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_wake_trainings")),
    )
    op.create_index(op.f("ix_wake_trainings_slug"), "wake_trainings", ["slug"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_wake_trainings_slug"), table_name="wake_trainings")
    op.drop_table("wake_trainings")
    op.drop_index("uq_wake_models_slug_version", table_name="wake_models")
    op.drop_index("uq_wake_models_active", table_name="wake_models", postgresql_where=sa.text("active"))
    op.drop_index(op.f("ix_wake_models_job_id"), table_name="wake_models")
    op.drop_table("wake_models")
    op.drop_index("ix_wake_captures_slug_created_at", table_name="wake_captures")
    op.drop_index(op.f("ix_wake_captures_file"), table_name="wake_captures")
    op.drop_table("wake_captures")
