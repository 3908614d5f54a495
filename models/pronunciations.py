"""How words are to be said: pronunciations for every text, and those of one course, which come first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ForeignKey, Index, Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, new_id
from models.curricula import Curriculum
from models.errors import Invalid, NotFound

MAX_WRITTEN_CHARACTERS = 100
# What the text front end takes (``workers.text.lexicon``).
MAX_SPOKEN_CHARACTERS = 200
# One scope's entries are looked for in every text.
MAX_ENTRIES = 5000

_WORD = re.compile(r"\w+")


class Pronunciation(Base):
    """A written word or phrase and how it is said: other words, or IPA between slashes."""

    __tablename__ = "pronunciations"

    id: Mapped[str] = mapped_column(primary_key=True)
    curriculum_id: Mapped[str | None] = mapped_column(ForeignKey("curricula.id", ondelete="CASCADE"))
    written: Mapped[str]
    spoken: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(
            "uq_pronunciations_scope_written", text("coalesce(curriculum_id, '')"), text("lower(written)"), unique=True
        ),
    )


def page(
    session: Session, curriculum_id: str | None, *, limit: int = MAX_ENTRIES, offset: int = 0
) -> tuple[list[Pronunciation], int]:
    """Entries of one scope (None: those for every text) by written form, and how many there are."""
    scope = Pronunciation.curriculum_id.is_not_distinct_from(curriculum_id)
    query = select(Pronunciation).where(scope).order_by(func.lower(Pronunciation.written)).limit(limit).offset(offset)
    total = session.scalar(select(func.count()).select_from(Pronunciation).where(scope)) or 0
    return list(session.scalars(query)), total


def entries(session: Session, curriculum_id: str | None = None) -> dict[str, str]:
    """What counts for a text: the general entries, overruled by those of the course."""
    own = Pronunciation.curriculum_id == curriculum_id
    scopes = Pronunciation.curriculum_id.is_(None) | own
    query = select(Pronunciation.written, Pronunciation.spoken).where(scopes)
    found: dict[str, tuple[str, str]] = {}
    for written, spoken in session.execute(query.order_by(Pronunciation.curriculum_id.is_not(None))):
        found[written.lower()] = (written, spoken)
    return dict(found.values())


def put(session: Session, curriculum_id: str | None, given: Mapping[str, str]) -> list[Pronunciation]:
    """Stores entries of one scope, each in the place of one with the same written form.

    Raises:
        NotFound: there is no such course.
        Invalid: an entry is empty, too long or has no letter; or there would be too many. Nothing was stored.
    """
    if curriculum_id is not None and session.get(Curriculum, curriculum_id) is None:
        raise NotFound(f"There is no curriculum {curriculum_id!r}.")
    tidy = {_tidy(written): _tidy(spoken) for written, spoken in given.items()}
    for written, spoken in tidy.items():
        check(written, spoken)
    if len(tidy) > MAX_ENTRIES:
        raise Invalid(f"There may be {MAX_ENTRIES} pronunciations at most.")
    # In one order for all: two files that are stored at once must not wait for each other's rows.
    rows = [
        {"id": new_id(), "curriculum_id": curriculum_id, "written": written, "spoken": spoken}
        for written, spoken in sorted(tidy.items(), key=lambda entry: entry[0].lower())
    ]
    if rows:
        session.execute(_put_statement(), rows)
    scope = Pronunciation.curriculum_id.is_not_distinct_from(curriculum_id)
    if (session.scalar(select(func.count()).where(scope)) or 0) > MAX_ENTRIES:
        raise Invalid(f"There may be {MAX_ENTRIES} pronunciations at most.")
    stored = select(Pronunciation).where(scope, Pronunciation.written.in_(list(tidy)))
    return list(session.scalars(stored, execution_options={"populate_existing": True}))


def _put_statement() -> Any:
    statement = insert(cast(Table, Pronunciation.__table__))
    return statement.on_conflict_do_update(
        index_elements=[text("coalesce(curriculum_id, '')"), text("lower(written)")],
        set_={"written": statement.excluded.written, "spoken": statement.excluded.spoken},
    )


def _tidy(words: str) -> str:
    return " ".join(words.split())


def check(written: str, spoken: str) -> None:
    """Refuses an entry that cannot be stored or said.

    Raises:
        Invalid: it is empty, too long, has no letter, or is neither words nor IPA.
    """
    if not any(character.isalnum() for character in written) or len(written) > MAX_WRITTEN_CHARACTERS:
        raise Invalid(f"written: {written[:60]!r} is not a word or phrase of 1 to {MAX_WRITTEN_CHARACTERS} characters")
    if not any(character.isalnum() for character in spoken) or len(spoken) > MAX_SPOKEN_CHARACTERS:
        raise Invalid(f"spoken: {spoken[:60]!r} cannot be said; 1 to {MAX_SPOKEN_CHARACTERS} characters")
    if "[" in spoken or "]" in spoken or spoken.startswith("/") != spoken.endswith("/"):
        raise Invalid(f"spoken: {spoken[:60]!r} is neither words nor IPA between slashes")


def remove(session: Session, pronunciation_id: str) -> None:
    """The entry counts no more.

    Raises:
        NotFound: there is none with this id.
    """
    removed = delete(Pronunciation).where(Pronunciation.id == pronunciation_id).returning(Pronunciation.id)
    if session.scalar(removed) is None:
        raise NotFound(f"There is no pronunciation {pronunciation_id!r}.")


@dataclass(frozen=True)
class _Entry:
    """``wanted`` is looked for; its first word stands ``before`` characters after its beginning."""

    written: str
    spoken: str
    wanted: str
    exact: bool
    before: int

    def stands_at(self, text: str, start: int) -> bool:
        end = start + len(self.wanted)
        found = text[start:end] if self.exact else text[start:end].lower()
        return found == self.wanted and not _within_a_word(text, start) and not _within_a_word(text, end)


class Lexicon:
    """Entries made ready to be looked for in texts, by the same rules as workers do (``workers.text.lexicon``)."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._by_word: dict[str, list[_Entry]] = {}
        for written, spoken in entries.items():
            wanted = _tidy(written)
            first = _WORD.search(wanted)
            if first is None:
                continue
            # Capitals beyond the first letter are meant: "IT" is not "it".
            exact = wanted[1:] != wanted[1:].lower()
            entry = _Entry(written, spoken, wanted if exact else wanted.lower(), exact, first.start())
            self._by_word.setdefault(first[0].lower(), []).append(entry)
        for found in self._by_word.values():
            # The longest first: a phrase counts before the words in it.
            found.sort(key=lambda entry: -len(entry.wanted))

    def matching(self, text: str) -> dict[str, str]:
        """The entries that occur in the text as whole words; they are part of what its speech depends on."""
        if not self._by_word:
            return {}
        text = _tidy(text)
        found: dict[str, str] = {}
        done = 0
        for word in _WORD.finditer(text):
            for entry in self._by_word.get(word[0].lower(), ()):
                start = word.start() - entry.before
                if start >= done and entry.stands_at(text, start):
                    found[entry.written] = entry.spoken
                    done = start + len(entry.wanted)
                    break
        return dict(sorted(found.items()))


def _within_a_word(text: str, place: int) -> bool:
    return len(pair := text[max(0, place - 1) : place + 1]) == 2 and all(map(_WORD.match, pair))
