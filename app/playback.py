"""What a session plays: the segments of its topic in its voice, found, made, and made ahead of the listener."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import context, speaking
from app.http.access import visible_to
from app.speaking import Wanted
from config.voices import background_lane
from models import curricula, sessions, speech_clips
from models.accounts import Caller
from models.curricula import Curriculum
from models.errors import Conflict, Invalid, Unavailable
from models.jobs import lifecycle
from models.jobs.lifecycle import NewItem
from models.sessions import PlaybackSession
from models.speech_clips import ClipSpec
from models.speech_renditions import Form
from tasks import submit

# About a minute of speech: what a listener who does not jump hears before anything that is made now is needed.
AHEAD = 5
# About 5 ms of work.
_STARTS_AT_ONCE = 100


@dataclass
class _Topic:
    """The texts of a topic (or, without one, of the course) as they were when the course was last changed."""

    curriculum_id: str | None = None
    topic_id: str | None = None
    changed_at: datetime | None = None
    texts: list[str] = field(default_factory=list)


@dataclass
class _Starts:
    """When segments begin if all are heard one after the other, as far as it is known; ``heard`` is of what and how."""

    heard: object = None
    seconds: list[float] = field(default_factory=lambda: [0.0])


@dataclass(frozen=True)
class _Order:
    """Segments that are being made ahead of their time, by one job."""

    job_id: str
    segments: frozenset[int]


class Playback:
    """One connection's view of a session. The row is read again with each segment, so that changes by REST are heard.

    Attributes:
        row: The session as it was read last.
    """

    def __init__(self, session_id: str, caller: Caller) -> None:
        self._session_id = session_id
        self._caller = caller
        self._topic = _Topic()
        self._orders: list[_Order] = []
        self._starts = _Starts()
        self.row = self._read()

    @property
    def total_segments(self) -> int:
        """How many segments there are to play."""
        return len(self._topic.texts)

    def refresh(self) -> None:
        """Reads the session again.

        Raises:
            NotFound: it is not there, or somebody else's by now.
            Conflict: it has ended.
        """
        self.row = self._read()

    def wanted(self, index: int, form: Form) -> Wanted:
        """What is heard at a place.

        Raises:
            Invalid: there is no such segment, or it cannot be said.
        """
        if not 0 <= index < self.total_segments:
            where = "no course is set" if self.row.curriculum_id is None else f"there are {self.total_segments}"
            raise Invalid(f"segment_index: there is no segment {index}; {where}")
        text = self._topic.texts[index]
        if not any(character.isalnum() for character in text):
            raise Invalid(f"segment_index: segment {index} has no word that could be said")
        row = self.row
        return speaking.wanted(
            text,
            form,
            voice_id=row.voice_id,
            provider=row.provider,
            speed=row.speed,
            curriculum_id=row.curriculum_id,
        )

    def change(self, **fields: object) -> None:
        """Stores what the listener chose, or where they are.

        Raises:
            NotFound: the course or topic is not there.
            Conflict: the session has ended.
        """
        with context.current().database.transaction(durable=False) as session:
            sessions.change(session, self._session_id, fields)
        self.refresh()

    def move(self, index: int, offset_ms: int, *, is_playing: bool) -> None:
        """Stores where the listener is; in seconds too, as far as it is known how long what lies before it lasts."""
        place: dict[str, object] = {"segment_index": index, "offset_ms": offset_ms, "is_playing": is_playing}
        behind = self._seconds_before(index)
        if behind is not None:
            place["playback_position"] = round(behind + offset_ms / 1000, 3)
        self.change(**place)

    def look_ahead(self, index: int) -> None:
        """Has the next segments after a place made, and lets go of what is ahead of another place."""
        window = range(index + 1, min(index + 1 + AHEAD, self.total_segments))
        self._drop(keep=frozenset(window))
        ordered = frozenset().union(*(order.segments for order in self._orders))
        found = {number: self._spec(number) for number in window if number not in ordered}
        specs = {number: spec for number, spec in found.items() if spec is not None}
        if not specs:
            return
        with context.current().database.transaction() as session:
            ready = speech_clips.ready_keys(session, [spec.key for spec in specs.values()])
            missing = {number: spec for number, spec in specs.items() if spec.key not in ready}
            if missing:
                self._order(session, missing)

    def forget_ahead(self) -> None:
        """Lets go of all that is ahead: nobody knows where the listener goes next."""
        self._drop(keep=frozenset())

    def _read(self) -> PlaybackSession:
        with context.current().database.transaction(durable=False) as session:
            row = sessions.get(session, self._session_id, visible_to=visible_to(self._caller))
            if row.ended_at is not None:
                raise Conflict(f"Session {self._session_id} has ended.", status="ended")
            changed_at = None
            if row.curriculum_id is not None:
                changed_at = session.scalar(select(Curriculum.updated_at).where(Curriculum.id == row.curriculum_id))
            place = (row.curriculum_id, row.topic_id, changed_at)
            if place != (self._topic.curriculum_id, self._topic.topic_id, self._topic.changed_at):
                texts = (
                    [segment.text for segment in curricula.segments(session, row.curriculum_id, row.topic_id)]
                    if row.curriculum_id is not None
                    else []
                )
                self._topic = _Topic(*place, texts)
        return row

    def _spec(self, index: int) -> ClipSpec | None:
        try:
            return self.wanted(index, Form("wav")).spec
        except Invalid:
            # Without a word: nobody can have it made.
            return None

    def _seconds_before(self, index: int) -> float | None:
        heard = (self._topic, self.row.voice_id, self.row.provider, self.row.speed)
        if self._starts.heard != heard:
            self._starts = _Starts(heard)
        starts = self._starts.seconds
        # Of a long course a part each time: a listener tells where they are every few seconds.
        first = len(starts) - 1
        specs = [
            self._spec(number) for number in range(first, min(index, self.total_segments, first + _STARTS_AT_ONCE))
        ]
        if specs:
            with context.current().database.reading() as session:
                lasting = speech_clips.ready_keys(session, [spec.key for spec in specs if spec is not None])
            for spec in specs:
                if spec is not None and spec.key not in lasting:
                    break
                starts.append(starts[-1] + (lasting[spec.key] if spec is not None else 0.0))
        return starts[index] if index < len(starts) else None

    def _order(self, session: Session, missing: dict[int, ClipSpec]) -> None:
        resolution = self.wanted(next(iter(missing)), Form("wav")).resolution
        items = [NewItem({"segment_index": number, "clip": vars(spec)}) for number, spec in missing.items()]
        try:
            job, _ = submit.submit(
                session,
                "speech.prefetch",
                lane=background_lane(resolution.pool),
                params={
                    "session_id": self._session_id,
                    "curriculum_id": self.row.curriculum_id,
                    "topic_id": self.row.topic_id,
                    "voice_id": resolution.voice.id,
                    "cached_segments": 0,
                },
                resolution=resolution.as_dict(),
                account_id=self._caller.account_id,
                items=items,
            )
        except Unavailable:
            # Nobody is there to do it; the segment itself is asked for in its time.
            return
        self._orders.append(_Order(job.id, frozenset(missing)))

    def _drop(self, *, keep: frozenset[int]) -> None:
        unwanted = [order for order in self._orders if not order.segments & keep]
        self._orders = [order for order in self._orders if order.segments & keep]
        for order in unwanted:
            try:
                with context.current().database.transaction() as session:
                    lifecycle.cancel(session, order.job_id)
            except Conflict:
                # It has ended already.
                continue
