"""Speech in every form: channels of renditions, times of pieces for captions, pronunciations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RENDITION = ["clip_key", "format", "sample_rate_hz", "loudness_lufs"]


def upgrade() -> None:
    op.create_table(
        "pronunciations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("curriculum_id", sa.Text(), nullable=True),
        sa.Column("written", sa.Text(), nullable=False),
        sa.Column("spoken", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["curriculum_id"], ["curricula.id"], name=op.f("fk_pronunciations_curriculum_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pronunciations")),
    )
    op.create_index(
        "uq_pronunciations_scope_written",
        "pronunciations",
        [sa.literal_column("coalesce(curriculum_id, '')"), sa.literal_column("lower(written)")],
        unique=True,
    )
    op.add_column(
        "speech_clips",
        sa.Column("timing", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.add_column("speech_renditions", sa.Column("channels", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.create_index(
        "ix_speech_renditions_figures",
        "speech_renditions",
        ["format", "sample_rate_hz", "channels", "loudness_lufs", "size_bytes"],
    )
    op.drop_constraint(op.f("pk_speech_renditions"), "speech_renditions")
    op.create_primary_key(
        op.f("pk_speech_renditions"), "speech_renditions", [*_RENDITION[:3], "channels", "loudness_lufs"]
    )


def downgrade() -> None:
    op.drop_index("ix_speech_renditions_figures", table_name="speech_renditions")
    op.execute("delete from speech_renditions where channels <> 1")
    op.drop_constraint(op.f("pk_speech_renditions"), "speech_renditions")
    op.drop_column("speech_renditions", "channels")
    op.create_primary_key(op.f("pk_speech_renditions"), "speech_renditions", _RENDITION)
    op.drop_column("speech_clips", "timing")
    op.drop_index("uq_pronunciations_scope_written", table_name="pronunciations")
    op.drop_table("pronunciations")
