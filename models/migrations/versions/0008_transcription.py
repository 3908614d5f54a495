"""Transcription by people: tasks, assignments, annotations, agents, and the ledger of what they earn."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transcription_agents",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tasks_completed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tasks_skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("duration_seconds", sa.Numeric(precision=14, scale=2), server_default=sa.text("0"), nullable=False),
        sa.Column("earnings", sa.Numeric(precision=14, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("paused", sa.Text(), nullable=True),
        sa.Column("last_active", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcription_agents")),
    )
    op.create_table(
        "transcription_tasks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("slots", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("taken", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("audio_url", sa.Text(), nullable=True),
        sa.Column("duration_seconds", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("peaks", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("draft", sa.Text(), nullable=True),
        sa.Column("gold_text", sa.Text(), nullable=True),
        sa.Column("word_difference", sa.Double(), nullable=True),
        sa.Column("character_difference", sa.Double(), nullable=True),
        sa.Column("final_text", sa.Text(), nullable=True),
        sa.Column("skips_count_from", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcription_tasks")),
    )
    op.create_index("ix_transcription_tasks_file", "transcription_tasks", ["file"], unique=False)
    op.create_index(
        "ix_transcription_tasks_free",
        "transcription_tasks",
        ["source", "queued_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND taken < slots AND gold_text IS NULL"),
    )
    op.create_index(
        "ix_transcription_tasks_gold",
        "transcription_tasks",
        ["source"],
        unique=False,
        postgresql_where=sa.text("gold_text IS NOT NULL"),
    )
    op.create_index(
        "ix_transcription_tasks_source_state_id", "transcription_tasks", ["source", "state", "id"], unique=False
    )
    op.create_table(
        "transcription_assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("kept_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["transcription_agents.id"], name=op.f("fk_transcription_assignments_agent_id")
        ),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["transcription_tasks.id"],
            name=op.f("fk_transcription_assignments_task_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcription_assignments")),
    )
    op.create_index(
        "ix_transcription_assignments_agent_id_ended_at",
        "transcription_assignments",
        ["agent_id", "ended_at"],
        unique=False,
    )
    op.create_index(
        "ix_transcription_assignments_lease",
        "transcription_assignments",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_transcription_assignments_skipped",
        "transcription_assignments",
        ["agent_id", "ended_at", "task_id"],
        unique=False,
        postgresql_where=sa.text("state = 'skipped'"),
    )
    op.create_index(
        "ix_transcription_assignments_task_id_agent_id",
        "transcription_assignments",
        ["task_id", "agent_id"],
        unique=False,
    )
    op.create_index(
        "uq_transcription_assignments_agent",
        "transcription_assignments",
        ["agent_id"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "uq_transcription_assignments_slot",
        "transcription_assignments",
        ["task_id", "slot"],
        unique=True,
        postgresql_where=sa.text("state IN ('active', 'accepted')"),
    )
    op.create_index(
        "uq_transcription_assignments_task_agent",
        "transcription_assignments",
        ["task_id", "agent_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('active', 'accepted')"),
    )
    op.create_table(
        "transcription_annotations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("worked_seconds", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("label_studio_annotation_id", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("word_error_rate", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["transcription_agents.id"], name=op.f("fk_transcription_annotations_agent_id")
        ),
        sa.ForeignKeyConstraint(
            ["assignment_id"],
            ["transcription_assignments.id"],
            name=op.f("fk_transcription_annotations_assignment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["transcription_tasks.id"],
            name=op.f("fk_transcription_annotations_task_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcription_annotations")),
        sa.UniqueConstraint("assignment_id", name=op.f("uq_transcription_annotations_assignment_id")),
        sa.UniqueConstraint("unique_id", name=op.f("uq_transcription_annotations_unique_id")),
    )
    op.create_index(
        "ix_transcription_annotations_agent_id_created_at",
        "transcription_annotations",
        ["agent_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_transcription_annotations_due",
        "transcription_annotations",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        op.f("ix_transcription_annotations_task_id"), "transcription_annotations", ["task_id"], unique=False
    )
    op.create_table(
        "transcription_ledger",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("annotation_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("duration_seconds", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("rate_per_second", sa.Numeric(precision=12, scale=6), nullable=True),
        sa.Column("amount", sa.Numeric(precision=12, scale=4), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["transcription_agents.id"], name=op.f("fk_transcription_ledger_agent_id")
        ),
        sa.ForeignKeyConstraint(
            ["annotation_id"], ["transcription_annotations.id"], name=op.f("fk_transcription_ledger_annotation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transcription_ledger")),
    )
    op.create_index(
        "ix_transcription_ledger_agent_id_created_at", "transcription_ledger", ["agent_id", "created_at"], unique=False
    )
    op.create_index(
        "uq_transcription_ledger_annotation_kind",
        "transcription_ledger",
        ["annotation_id", "kind"],
        unique=True,
        postgresql_where=sa.text("annotation_id IS NOT NULL"),
    )
    op.alter_column("api_keys", "agent_id", existing_type=sa.INTEGER(), type_=sa.BigInteger(), existing_nullable=True)


def downgrade() -> None:
    op.alter_column("api_keys", "agent_id", existing_type=sa.BigInteger(), type_=sa.INTEGER(), existing_nullable=True)
    op.drop_index(
        "uq_transcription_ledger_annotation_kind",
        table_name="transcription_ledger",
        postgresql_where=sa.text("annotation_id IS NOT NULL"),
    )
    op.drop_index("ix_transcription_ledger_agent_id_created_at", table_name="transcription_ledger")
    op.drop_table("transcription_ledger")
    op.drop_index(op.f("ix_transcription_annotations_task_id"), table_name="transcription_annotations")
    op.drop_index(
        "ix_transcription_annotations_due",
        table_name="transcription_annotations",
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index("ix_transcription_annotations_agent_id_created_at", table_name="transcription_annotations")
    op.drop_table("transcription_annotations")
    op.drop_index(
        "uq_transcription_assignments_task_agent",
        table_name="transcription_assignments",
        postgresql_where=sa.text("state IN ('active', 'accepted')"),
    )
    op.drop_index(
        "uq_transcription_assignments_slot",
        table_name="transcription_assignments",
        postgresql_where=sa.text("state IN ('active', 'accepted')"),
    )
    op.drop_index(
        "uq_transcription_assignments_agent",
        table_name="transcription_assignments",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_index("ix_transcription_assignments_task_id_agent_id", table_name="transcription_assignments")
    op.drop_index(
        "ix_transcription_assignments_skipped",
        table_name="transcription_assignments",
        postgresql_where=sa.text("state = 'skipped'"),
    )
    op.drop_index(
        "ix_transcription_assignments_lease",
        table_name="transcription_assignments",
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_index("ix_transcription_assignments_agent_id_ended_at", table_name="transcription_assignments")
    op.drop_table("transcription_assignments")
    op.drop_index("ix_transcription_tasks_source_state_id", table_name="transcription_tasks")
    op.drop_index(
        "ix_transcription_tasks_gold",
        table_name="transcription_tasks",
        postgresql_where=sa.text("gold_text IS NOT NULL"),
    )
    op.drop_index(
        "ix_transcription_tasks_free",
        table_name="transcription_tasks",
        postgresql_where=sa.text("state = 'open' AND taken < slots AND gold_text IS NULL"),
    )
    op.drop_index("ix_transcription_tasks_file", table_name="transcription_tasks")
    op.drop_table("transcription_tasks")
    op.drop_table("transcription_agents")
