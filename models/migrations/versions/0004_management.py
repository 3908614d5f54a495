"""Sign-ins, sessions, answers given again, webhooks, and clips that a job holds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JSON = postgresql.JSONB(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "idempotent_answers",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key", name=op.f("pk_idempotent_answers")),
    )
    op.create_index(op.f("ix_idempotent_answers_created_at"), "idempotent_answers", ["created_at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("curriculum_id", sa.Text(), nullable=True),
        sa.Column("topic_id", sa.Text(), nullable=True),
        sa.Column("voice_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("speed", sa.Double(), server_default=sa.text("1"), nullable=False),
        sa.Column("segment_index", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("offset_ms", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("playback_position", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_playing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "config",
            _JSON,
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["curriculum_id"], ["curricula.id"], name=op.f("fk_sessions_curriculum_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_account_id_created_at", "sessions", ["account_id", "created_at"], unique=False)
    op.create_index("ix_sessions_created_at_id", "sessions", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_sessions_curriculum_id"), "sessions", ["curriculum_id"], unique=False)
    op.create_index(
        "ix_sessions_open", "sessions", ["updated_at"], unique=False, postgresql_where=sa.text("ended_at is null")
    )
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_sign_ins_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_account_id"), "sign_ins", ["account_id"], unique=False)
    op.create_index(op.f("ix_sign_ins_expires_at"), "sign_ins", ["expires_at"], unique=False)
    op.create_table(
        "speech_pins",
        sa.Column("clip_key", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_speech_pins_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("clip_key", "job_id", name=op.f("pk_speech_pins")),
    )
    op.create_index(op.f("ix_speech_pins_job_id"), "speech_pins", ["job_id"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("payload", _JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "log",
            _JSON,
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_webhook_deliveries_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("ix_webhook_deliveries_job_id"), "webhook_deliveries", ["job_id"], unique=False)
    op.add_column("jobs", sa.Column("callback_urls", _JSON, nullable=True))
    op.drop_column("speech_clips", "pins")


def downgrade() -> None:
    op.add_column(
        "speech_clips",
        sa.Column("pins", sa.INTEGER(), server_default=sa.text("0"), autoincrement=False, nullable=False),
    )
    op.drop_column("jobs", "callback_urls")
    op.drop_index(op.f("ix_webhook_deliveries_job_id"), table_name="webhook_deliveries")
    op.drop_index(
        "ix_webhook_deliveries_due", table_name="webhook_deliveries", postgresql_where=sa.text("state = 'pending'")
    )
    op.drop_table("webhook_deliveries")
    op.drop_index(op.f("ix_speech_pins_job_id"), table_name="speech_pins")
    op.drop_table("speech_pins")
    op.drop_index(op.f("ix_sign_ins_expires_at"), table_name="sign_ins")
    op.drop_index(op.f("ix_sign_ins_account_id"), table_name="sign_ins")
    op.drop_table("sign_ins")
    op.drop_index("ix_sessions_open", table_name="sessions", postgresql_where=sa.text("ended_at is null"))
    op.drop_index(op.f("ix_sessions_curriculum_id"), table_name="sessions")
    op.drop_index("ix_sessions_created_at_id", table_name="sessions")
    op.drop_index("ix_sessions_account_id_created_at", table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_idempotent_answers_created_at"), table_name="idempotent_answers")
    op.drop_table("idempotent_answers")
