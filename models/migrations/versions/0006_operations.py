"""Errors, who administered what, figures by the hour, and what a worker's devices do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "error_reports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("user_ip", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_reports")),
    )
    op.create_index("uq_error_reports_slot", "error_reports", ["minute", "endpoint", "code", "slot"], unique=True)
    op.create_index("ix_error_reports_at_id", "error_reports", ["at", "id"], unique=False)
    op.create_index("ix_error_reports_request_id", "error_reports", ["request_id"], unique=False)
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("user_ip", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_at_id", "audit_entries", ["at", "id"], unique=False)
    op.create_table(
        "metric_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "series", name=op.f("pk_metric_hours")),
    )
    op.create_index(
        "ix_jobs_cleanups",
        "jobs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("kind = 'upkeep.cleanup'"),
    )
    op.add_column("workers", sa.Column("cpu_percent", sa.Double(), nullable=True))
    op.add_column("workers", sa.Column("gpu", postgresql.JSONB(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("workers", "gpu")
    op.drop_column("workers", "cpu_percent")
    op.drop_index("ix_jobs_cleanups", table_name="jobs", postgresql_where=sa.text("kind = 'upkeep.cleanup'"))
    op.drop_table("metric_hours")
    op.drop_index("ix_audit_entries_at_id", table_name="audit_entries")
    op.drop_table("audit_entries")
    op.drop_index("ix_error_reports_request_id", table_name="error_reports")
    op.drop_index("ix_error_reports_at_id", table_name="error_reports")
    op.drop_index("uq_error_reports_slot", table_name="error_reports")
    op.drop_table("error_reports")
