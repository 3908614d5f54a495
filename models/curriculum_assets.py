"""Images of imported courses: which stored file each path in a course stands for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import BigInteger, ForeignKey, String, delete, func, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class CurriculumAsset(Base):
    """An image of a course; ``path`` is where it lay in what was imported, as the assets of its topics name it."""

    __tablename__ = "curriculum_assets"

    curriculum_id: Mapped[str] = mapped_column(ForeignKey("curricula.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    # What the sweep asks for. Not char(64): a question about texts would not use its index.
    file_name: Mapped[str] = mapped_column(String(64), index=True)
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class NewAsset:
    """An image whose file is stored; ``file_name`` is the store's name of it."""

    path: str
    file_name: str
    media_type: str
    size_bytes: int


def replace(session: Session, curriculum_id: str, assets: Sequence[NewAsset]) -> None:
    """The course has these images and no others; files that were others' go with the next sweep."""
    session.execute(delete(CurriculumAsset).where(CurriculumAsset.curriculum_id == curriculum_id))
    if assets:
        session.execute(insert(CurriculumAsset), [asdict(each) | {"curriculum_id": curriculum_id} for each in assets])


def keep_only(session: Session, curriculum_id: str, kept: Collection[str]) -> None:
    """Of the images that the course has, those at these paths stay."""
    session.execute(
        delete(CurriculumAsset)
        .where(CurriculumAsset.curriculum_id == curriculum_id)
        .where(CurriculumAsset.path.not_in(kept))
    )


def find(session: Session, curriculum_id: str, path: str) -> CurriculumAsset | None:
    """The image of a course at exactly this path."""
    return session.get(CurriculumAsset, (curriculum_id, path))


def paths(session: Session, curriculum_id: str) -> set[str]:
    """The paths of a course whose images are kept."""
    return set(session.scalars(select(CurriculumAsset.path).where(CurriculumAsset.curriculum_id == curriculum_id)))


def size_bytes(session: Session) -> int:
    """How many bytes the images of all courses hold (a file that two share counts twice)."""
    return int(session.scalar(select(func.sum(CurriculumAsset.size_bytes))) or 0)


def known_files(session: Session, names: Collection[str]) -> set[str]:
    """Those of the stored files that a row points to."""
    return set(session.scalars(select(CurriculumAsset.file_name).where(CurriculumAsset.file_name.in_(names))))
