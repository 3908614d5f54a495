"""Images of imported courses are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "curriculum_assets",
        sa.Column("curriculum_id", sa.Text(), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("file_name", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["curriculum_id"], ["curricula.id"], name=op.f("fk_curriculum_assets_curriculum_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("curriculum_id", "path", name=op.f("pk_curriculum_assets")),
    )
    op.create_index(op.f("ix_curriculum_assets_file_name"), "curriculum_assets", ["file_name"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_curriculum_assets_file_name"), table_name="curriculum_assets")
    op.drop_table("curriculum_assets")
