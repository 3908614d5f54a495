"""The tables of the gateway; the files beside this one alone write to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, func
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

# A call that is at work, one that did what it was asked for, and every other.
PENDING, SUCCESS, FAILED = "pending", "success", "failed"


class Service(Base):
    """A server outside. ``sealed_key`` is its credential, encrypted (``models.gateway.vault``)."""

    __tablename__ = "services"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str] = mapped_column(index=True)
    url: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=sql("true"), default=True)
    sealed_key: Mapped[str | None]
    # What its type reads, such as `verify_tls`, `timeout_seconds` and the tools of a generic one.
    config: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"), default=dict)
    # Null until it was looked at.
    is_healthy: Mapped[bool | None]
    last_check: Mapped[datetime | None]
    response_time_ms: Mapped[int | None]
    problem: Mapped[str | None]
    # When the clock looks at it next; ahead of a look that is going on.
    check_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # Calls that got no answer since the last that did; after some of them nobody is sent there until `closed_until`.
    failures: Mapped[int] = mapped_column(server_default=sql("0"), default=0)
    closed_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (Index("ix_services_check_at", "check_at", postgresql_where=sql("enabled")),)


class ServiceCheck(Base):
    """One look at a service, and what came of it."""

    __tablename__ = "service_checks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    healthy: Mapped[bool]
    response_time_ms: Mapped[int | None]
    problem: Mapped[str | None]

    __table_args__ = (Index("ix_service_checks_service_id_at", "service_id", "at"), Index("ix_service_checks_at", "at"))


class UserMapping(Base):
    """Somebody, and what they are called elsewhere: a service's name or type, and the name there."""

    __tablename__ = "user_mappings"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    canonical_name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    service_mappings: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"), default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    # An address is the same in any case of letters.
    __table_args__ = (Index("uq_user_mappings_email", func.lower(sql("email")), unique=True),)


class Group(Base):
    """People who may call the same tools: by name, by pattern (``plex_*``), or all of them (``*``)."""

    __tablename__ = "groups"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default=sql("''"), default="")
    tool_permissions: Mapped[list[Any]] = mapped_column(server_default=sql("'[]'"), default=list)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class GroupMember(Base):
    """Somebody in a group."""

    __tablename__ = "group_members"

    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    mapping_id: Mapped[int] = mapped_column(
        ForeignKey("user_mappings.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ToolCall(Base):
    """One call of a tool, from whichever door, whatever came of it. ``arguments`` hold no secrets."""

    __tablename__ = "tool_calls"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    tool: Mapped[str]
    # Names, as both may be gone when it is read.
    user: Mapped[str | None]
    service: Mapped[str | None]
    account_id: Mapped[str | None]
    door: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default=PENDING)
    error_code: Mapped[str | None]
    error: Mapped[str | None]
    duration_ms: Mapped[float | None]
    request_id: Mapped[str | None]

    __table_args__ = (
        Index("ix_tool_calls_at_id", "at", "id"),
        Index("ix_tool_calls_tool_at", "tool", "at"),
        Index("ix_tool_calls_pending", "at", postgresql_where=sql("status = 'pending'")),
    )


class SiteSetting(Base):
    """Something that administrators choose while everything runs."""

    __tablename__ = "site_settings"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
