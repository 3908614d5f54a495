"""The gateway: outside services, people and groups, and the history of what was called."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "tool_permissions",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_groups_name")),
    )
    op.create_table(
        "services",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("sealed_key", sa.Text(), nullable=True),
        sa.Column(
            "config",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("is_healthy", sa.Boolean(), nullable=True),
        sa.Column("last_check", sa.DateTime(timezone=True), nullable=True),
        sa.Column("response_time_ms", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
        sa.UniqueConstraint("name", name=op.f("uq_services_name")),
    )
    op.create_index("ix_services_check_at", "services", ["check_at"], unique=False, postgresql_where=sa.text("enabled"))
    op.create_index(op.f("ix_services_type"), "services", ["type"], unique=False)
    op.create_table(
        "site_settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_site_settings")),
    )
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_calls")),
    )
    op.create_index("ix_tool_calls_at_id", "tool_calls", ["at", "id"], unique=False)
    op.create_index(
        "ix_tool_calls_pending", "tool_calls", ["at"], unique=False, postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index("ix_tool_calls_tool_at", "tool_calls", ["tool", "at"], unique=False)
    op.create_table(
        "user_mappings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("canonical_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column(
            "service_mappings",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_mappings")),
        sa.UniqueConstraint("canonical_name", name=op.f("uq_user_mappings_canonical_name")),
    )
    op.create_index("uq_user_mappings_email", "user_mappings", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("mapping_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["mapping_id"], ["user_mappings.id"], name=op.f("fk_group_members_mapping_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "mapping_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_mapping_id"), "group_members", ["mapping_id"], unique=False)
    op.create_table(
        "service_checks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("response_time_ms", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_service_checks_service_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_checks")),
    )
    op.create_index("ix_service_checks_at", "service_checks", ["at"], unique=False)
    op.create_index("ix_service_checks_service_id_at", "service_checks", ["service_id", "at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_service_checks_service_id_at", table_name="service_checks")
    op.drop_index("ix_service_checks_at", table_name="service_checks")
    op.drop_table("service_checks")
    op.drop_index(op.f("ix_group_members_mapping_id"), table_name="group_members")
    op.drop_table("group_members")
    op.drop_index("uq_user_mappings_email", table_name="user_mappings")
    op.drop_table("user_mappings")
    op.drop_index("ix_tool_calls_tool_at", table_name="tool_calls")
    op.drop_index("ix_tool_calls_pending", table_name="tool_calls", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index("ix_tool_calls_at_id", table_name="tool_calls")
    op.drop_table("tool_calls")
    op.drop_table("site_settings")
    op.drop_index(op.f("ix_services_type"), table_name="services")
    op.drop_index("ix_services_check_at", table_name="services", postgresql_where=sa.text("enabled"))
    op.drop_table("services")
    op.drop_table("groups")
