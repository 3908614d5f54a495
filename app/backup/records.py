"""Records of a file that somebody sends: each is held against the same rules as if it came by its own endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from app.api.groups import NewGroup
from app.api.pronunciations import Entry
from app.api.services import NewService
from app.api.site_config import SiteSettings
from app.api.training_prompts import NewPrompt
from app.api.user_mappings import NewMapping
from app.api.users import NewUser
from app.backup.sealed import take_secrets
from app.course_content import read_topics
from app.http.parsing import MAX_EXACT_INTEGER, Flag, Listing, Moment, Number, Text, Whole, one_of, sentences
from app.prompt_files import needs_an_answer
from models import pronunciations
from models.accounts import ROLES
from models.backup.sealing import Cipher
from models.backup.section import Record, Section
from models.base import iso
from models.curricula import NewTopic
from models.errors import Invalid
from models.wake_models import TYPES

MAX_RECORDS = 100_000
_USERNAME: dict[str, Any] = {"minimum": 1, "maximum": 200, "spoken": True}


class UserRecord(NewUser):
    """An account."""

    class Meta:
        exclude = ("password",)

    disabled = Flag(load_default=False)


class KeyRecord(Schema):
    """A credential of a program."""

    user = Text(required=True, **_USERNAME)
    name = Text(required=True, **_USERNAME)
    role = Text(required=True, maximum=20, validate=one_of(list(ROLES)))
    agent_id = Whole(0, MAX_EXACT_INTEGER, load_default=None, allow_none=True)
    created_at = Moment(required=True)
    expires_at = Moment(load_default=None, allow_none=True, years_ahead=None)
    copy = Whole(2, MAX_RECORDS)


class CourseRecord(Schema):
    """A course."""

    title = Text(required=True, minimum=1, maximum=500, spoken=True)
    description = Text(load_default="", maximum=20_000)
    created_at = Moment(required=True)
    owner = Text(load_default=None, allow_none=True, **_USERNAME)
    about = fields.Dict(keys=fields.String(), load_default=dict)
    content = Listing(fields.Raw(), load_default=list)
    # Each is held against the rules of its own, with the entries of every text.
    pronunciations = fields.Dict(keys=fields.String(), values=Text(maximum=1000), load_default=dict)
    copy = Whole(2, MAX_RECORDS)


class StoredFile(Schema):
    """A file of a detector, by now stored."""

    file = Text(required=True, minimum=64, maximum=64)
    size_bytes = Whole(0, 2**31 - 1, required=True)


class ModelRecord(Schema):
    """A detector."""

    wake_word = Text(required=True, minimum=1, maximum=100, spoken=True)
    version = Whole(1, 2**31 - 1, required=True)
    active = Flag(required=True)
    type = Text(required=True, maximum=20, validate=one_of(list(TYPES)))
    model_type = Text(required=True, minimum=1, maximum=100)
    threshold = Number(0.0, 1.0, required=True)
    report = fields.Dict(keys=fields.String(), load_default=dict)
    files = fields.Dict(
        keys=Text(minimum=1, maximum=50),
        values=fields.Nested(StoredFile),
        required=True,
        validate=validate.Length(max=20),
    )
    owner = Text(load_default=None, allow_none=True, **_USERNAME)


class SettingRecord(Schema):
    """Something that administrators chose."""

    name = Text(required=True, maximum=100, validate=one_of(sorted(SiteSettings._declared_fields)))
    value = fields.Raw(required=True, allow_none=True)

    @post_load
    def take_value(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The record, its value as its own endpoint would take it."""
        chosen = SiteSettings().load({data["name"]: data["value"]})
        return {"name": data["name"], "value": chosen[data["name"]]}


class WorkerRecord(Schema):
    """A worker that trains."""

    name = Text(required=True, minimum=1, maximum=200, spoken=True)
    drained = Flag(load_default=False)


def _as_it_is(record: Record) -> Record:
    return record


def _timed(record: Record) -> Record:
    return record | {name: iso(record[name]) for name in ("created_at", "expires_at") if name in record}


def _entry(record: Record) -> Record:
    written, spoken = (" ".join(record[name].split()) for name in ("written", "spoken"))
    pronunciations.check(written, spoken)
    return {"written": written, "spoken": spoken}


def _course(record: Record) -> Record:
    entries = [_entry({"written": written, "spoken": spoken}) for written, spoken in record["pronunciations"].items()]
    said = {entry["written"]: entry["spoken"] for entry in entries}
    return _timed(record) | {"content": list(map(_topic, read_topics(record["content"]))), "pronunciations": said}


def _topic(topic: NewTopic) -> dict[str, Any]:
    segments = [_with_id(part.extra | {"text": part.text}, part.id) for part in topic.segments]
    found = topic.extra | {"title": topic.title, "description": topic.description, "segments": segments}
    return _with_id(found, topic.id)


def _with_id(thing: dict[str, Any], own: str | None) -> dict[str, Any]:
    return thing if own is None else thing | {"id": own}


def _prompt(record: Record) -> Record:
    needs_an_answer(record["expected_output"], record["tool_calls"])
    return record


_KINDS: Mapping[str, tuple[Callable[[], Schema], Callable[[Record], Record]]] = {
    "services": (lambda: NewService(exclude=("api_key",)), _as_it_is),
    "user_mappings": (NewMapping, _as_it_is),
    "groups": (NewGroup, lambda record: record | {"members": sorted(set(record["members"]))}),
    "training_prompts": (NewPrompt, _prompt),
    "training_workers": (WorkerRecord, _as_it_is),
    "site_config": (SettingRecord, _as_it_is),
    "users": (UserRecord, _as_it_is),
    "api_keys": (KeyRecord, _timed),
    "pronunciations": (lambda: Entry(exclude=("curriculum_id",)), _entry),
    "curricula": (CourseRecord, _course),
    "wake_models": (ModelRecord, _as_it_is),
}


def checked(
    sections: Mapping[str, Section], data: Mapping[str, Sequence[Any]], cipher: Cipher | None
) -> dict[str, list[Record]]:
    """The records of a file by section, their secrets open. It takes a while: keep off the event loop.

    Raises:
        Invalid: naming the section, the record and the field of what cannot be taken.
    """
    if unknown := [name for name in data if name not in sections]:
        raise Invalid(f"data: {unknown[0]!r:.60} is not one of {', '.join(sections)}")
    return {name: _records(section, data[name], cipher) for name, section in sections.items() if name in data}


def _records(section: Section, given: Sequence[Any], cipher: Cipher | None) -> list[Record]:
    if len(given) > MAX_RECORDS:
        raise Invalid(f"{section.name}: it has {len(given)} records; at most {MAX_RECORDS} are taken")
    make, finish = _KINDS[section.name]
    schema = make()
    found: list[Record] = []
    seen: dict[Any, int] = {}
    for number, raw in enumerate(given):
        where = f"{section.name}[{number}]"
        if not isinstance(raw, dict):
            raise Invalid(f"{where}: {type(raw).__name__} is not a record (an object)")
        where += _named(section, raw)
        plain = {name: value for name, value in raw.items() if name not in section.secrets}
        try:
            record = finish(schema.load(plain))
        except ValidationError as fault:
            raise Invalid(f"{where}: {'; '.join(sentences(fault.messages, ''))}") from None
        except Invalid as fault:
            raise Invalid(f"{where}: {fault.message}", code=fault.code) from None
        key = section.key_of(record)
        if key in seen:
            raise Invalid(f"{where}: it is the same as {section.name}[{seen[key]}]; each is there once")
        seen[key] = number
        found.append(record | take_secrets(section, record, raw, cipher, where))
    return found


def _named(section: Section, raw: Mapping[str, Any]) -> str:
    name = raw.get(section.key[0])
    return f" {name!r:.60}" if isinstance(name, str) else ""
