"""Wake-word detectors: each training of a word makes a new version of it, and one version of each word is active."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.accounts import Account
from models.base import Base, new_id
from models.errors import NotFound

CUSTOM, DEFAULT = "custom", "default"
TYPES = (CUSTOM, DEFAULT)
# A slug, and which of its versions; more digits than any version will have.
_NAME = re.compile(r"([^@]{1,100})(?:@([1-9][0-9]{0,8}))?")


class WakeModel(Base):
    """A version of a detector.

    ``report`` is what its training wrote of it. ``files`` says what is stored under each role (``detector``, ``onnx``,
    ``weights``, ...): ``{"file", "size_bytes"}``, ``file`` being the store's name. ``recordings`` are the clips of the
    word that it was trained from, for the next training.
    """

    __tablename__ = "wake_models"

    id: Mapped[str] = mapped_column(primary_key=True)
    slug: Mapped[str]
    version: Mapped[int]
    active: Mapped[bool]
    wake_word: Mapped[str]
    type: Mapped[str] = mapped_column(default=CUSTOM)
    model_type: Mapped[str]
    threshold: Mapped[float] = mapped_column(Double)
    report: Mapped[dict[str, Any]]
    files: Mapped[dict[str, Any]]
    recordings: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    # Its training, as long as that is remembered.
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    account_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("uq_wake_models_slug_version", "slug", "version", unique=True),
        Index("uq_wake_models_active", "slug", unique=True, postgresql_where=text("active")),
    )

    @property
    def name(self) -> str:
        """The version by name (``jarvis@2``)."""
        return f"{self.slug}@{self.version}"

    @property
    def size_bytes(self) -> int:
        """How many bytes its files hold."""
        return sum(int(each["size_bytes"]) for each in self.files.values())


def slug_of(wake_word: str) -> str:
    """What the word's models are called: ``hey-jarvis`` of ``Hey  Jarvis``."""
    return "-".join(wake_word.lower().split())


def find(session: Session, model_id: str) -> WakeModel:
    """The model: the active version (``jarvis``), or one version (``jarvis@2``).

    Raises:
        NotFound: there is none.
    """
    given = _NAME.fullmatch(model_id) if model_id.isprintable() else None
    found = None
    if given is not None:
        slug, version = given.groups()
        which = WakeModel.active if version is None else WakeModel.version == int(version)
        found = session.scalars(select(WakeModel).where(WakeModel.slug == slug, which)).one_or_none()
    if found is None:
        raise NotFound(f"There is no wake-word model {model_id[:100]!r}.")
    return found


def listed(session: Session, *, type_name: str | None = None) -> list[WakeModel]:
    """The active version of every word (of that type), newest first."""
    query = select(WakeModel).where(WakeModel.active)
    if type_name is not None:
        query = query.where(WakeModel.type == type_name)
    return list(session.scalars(query.order_by(WakeModel.created_at.desc(), WakeModel.id.desc())))


def versions(session: Session, slug: str) -> list[WakeModel]:
    """All versions of a word, newest first.

    Raises:
        NotFound: there is none.
    """
    newest = select(WakeModel).where(WakeModel.slug == slug).order_by(WakeModel.version.desc())
    found = list(session.scalars(newest)) if slug.isprintable() else []
    if not found:
        raise NotFound(f"There is no wake-word model {slug[:100]!r}.")
    return found


def of_job(session: Session, job_id: str) -> WakeModel | None:
    """What a training made; None before it has ended well, and when it was removed since."""
    return session.scalars(select(WakeModel).where(WakeModel.job_id == job_id)).one_or_none()


def add(
    session: Session,
    *,
    wake_word: str,
    model_type: str,
    threshold: float,
    report: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    job_id: str | None = None,
    account_id: str | None = None,
    recordings: Sequence[Mapping[str, Any]] = (),
    type_name: str = CUSTOM,
) -> WakeModel:
    """The new version of a word; its files are stored already.

    It is the active one from now on, unless that is somebody else's: what everybody uses is changed by whoever trained
    it, or by an administrator.
    """
    slug = slug_of(wake_word)
    hold(session, slug)
    active = _may_change_active(session, slug, account_id)
    last = session.scalar(select(func.max(WakeModel.version)).where(WakeModel.slug == slug)) or 0
    if active:
        _deactivate(session, slug)
    made = WakeModel(
        id=new_id("wake_"),
        slug=slug,
        version=last + 1,
        active=active,
        wake_word=wake_word,
        type=type_name,
        model_type=model_type,
        threshold=threshold,
        report=dict(report),
        files={role: dict(each) for role, each in files.items()},
        recordings=[dict(each) for each in recordings],
        job_id=job_id,
        account_id=account_id,
    )
    session.add(made)
    session.flush()
    # With the moment that Postgres gave it.
    session.refresh(made)
    return made


def activate(session: Session, model_id: str) -> WakeModel:
    """The version, from now on the active one of its word.

    Raises:
        NotFound: there is none.
    """
    slug = find(session, model_id).slug
    hold(session, slug)
    # Once more: by now another may be the active one, or this one gone.
    found = find(session, model_id)
    if not found.active:
        _deactivate(session, slug)
        found.active = True
        session.flush()
    return found


def remove(session: Session, model_id: str) -> list[str]:
    """The names of the versions that went: one (``jarvis@2``), or all of a word (``jarvis``).

    When the active version goes, the newest of those that are left is active.

    Raises:
        NotFound: there is none.
    """
    found = find(session, model_id)
    hold(session, found.slug)
    found = find(session, model_id)
    every = versions(session, found.slug)
    doomed = [found] if "@" in model_id else every
    left = [each for each in every if each not in doomed]
    for each in doomed:
        session.delete(each)
    session.flush()
    if left and not any(each.active for each in left):
        left[0].active = True
        session.flush()
    return [each.name for each in doomed]


def hold(session: Session, slug: str) -> None:
    """Keeps others from changing the versions of a word, or starting a training of it, until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"wake word {slug}", 0))))


def _may_change_active(session: Session, slug: str, account_id: str | None) -> bool:
    owner = select(WakeModel.account_id).where(WakeModel.slug == slug, WakeModel.active)
    found = session.execute(owner).one_or_none()
    if found is None or account_id is None or found[0] == account_id:
        return True
    account = session.get(Account, account_id)
    return account is not None and account.role == "admin"


def _deactivate(session: Session, slug: str) -> None:
    session.execute(update(WakeModel).where(WakeModel.slug == slug, WakeModel.active).values(active=False))
