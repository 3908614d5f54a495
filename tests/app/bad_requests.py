"""Requests that must be refused, by what is wrong with them, and what the refusal has to say."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

TTS, LOGIN, PREFETCH, CURRICULUM = "/api/tts", "/api/auth/login", "/api/tts/prefetch/topic", "/api/curriculum"
LOOK = "/api/tts/cache"
SAY, SAYINGS = "/api/pronunciations", "/api/pronunciations/file"
OPENAI, BATCH = "/v1/audio/speech", "/v1/audio/speech/batch"
LONG = "x" * 100_000
# Python's limit on digits would make an exception of this one, its size alone of the next.
MANY_DIGITS = b"1" + b"0" * 5000
BEYOND_64_BITS = b"1" + b"0" * 30


@dataclass(frozen=True)
class Bad:
    """A request that must be refused with an error that says each of ``names``."""

    path: str
    body: Any = None
    names: tuple[str, ...] = ()
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 400
    code: str = "VALIDATION_ERROR"

    @property
    def sent(self) -> dict[str, Any]:
        """For the test client: bytes as they are, anything else as JSON."""
        if self.body is None:
            return {"headers": self.headers}
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return {"data": raw, "headers": {"Content-Type": "application/json"} | self.headers}


def said(**fields: Any) -> dict[str, Any]:
    return {"text": "Hello."} | fields


def raw(name: str, value: bytes) -> bytes:
    return b'{"text": "Hello.", "%s": %s}' % (name.encode(), value)


def typed(content_type: str, body: bytes) -> Bad:
    return Bad(TTS, body, ("Content-Type", content_type), headers={"Content-Type": content_type})


def course(**fields: Any) -> dict[str, Any]:
    return {"title": "Course", "content": []} | fields


def topic(**fields: Any) -> dict[str, Any]:
    return course(content=[{"title": "Topic", "segments": ["One."]} | fields])


def with_nested_notes(depth: int) -> bytes:
    """Put together as text: whoever sends it stands too deep for Python's own encoder."""
    return json.dumps(topic(notes="@")).replace('"@"', "[" * depth + "1" + "]" * depth).encode()


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


SPEECH = {
    "empty text": Bad(TTS, said(text=""), ("text", "''")),
    "emoji only": Bad(TTS, said(text="👋 👩‍🚀"), ("text", "'👋 ")),
    "signs only": Bad(TTS, said(text="…!?"), ("text", "'…!?'")),
    "a zero-width space": Bad(TTS, said(text="\u200b"), ("text", r"'\u200b'")),
    "a flag": Bad(TTS, said(text="🇩🇪"), ("text", "'🇩🇪'")),
    "spaces only": Bad(TTS, said(text=" \n\t "), ("text", r"' \n\t '")),
    "no text": Bad(TTS, {}, ("text",)),
    "20,001 characters": Bad(TTS, said(text="x" * 20_001), ("text", "20001", "20000")),
    "5 MB of text": Bad(TTS, said(text="x" * 5_000_000), ("text", "5000000")),
    "text as a number": Bad(TTS, said(text=5), ("text", "5")),
    "text as null": Bad(TTS, said(text=None), ("text",)),
    "text as a list": Bad(TTS, said(text=["Hello."]), ("text", "['Hello.']")),
    "text as an object": Bad(TTS, said(text={"a": 1}), ("text", "{'a': 1}")),
    "unknown voice": Bad(TTS, said(voice_id="nobody"), ("voice_id", "'nobody'", "nova")),
    "unknown provider": Bad(TTS, said(provider="nobody"), ("provider", "'nobody'", "hibari")),
    "provider by two names": Bad(TTS, said(provider="hibari", tts_provider="hibari"), ("provider", "tts_provider")),
    "voice as a number": Bad(TTS, said(voice_id=5), ("voice_id", "5")),
    "a long voice": Bad(TTS, said(voice_id=LONG), ("voice_id", "100000")),
    "speed 9": Bad(TTS, said(speed=9), ("speed", "9", "0.25 to 4")),
    "speed 0": Bad(TTS, said(speed=0), ("speed", "0")),
    "speed -1": Bad(TTS, said(speed=-1), ("speed", "-1")),
    "speed as text": Bad(TTS, said(speed="1"), ("speed", "'1'")),
    "speed true": Bad(TTS, said(speed=True), ("speed", "True")),
    "speed null": Bad(TTS, said(speed=None), ("speed",)),
    "speed as a list": Bad(TTS, said(speed=[1]), ("speed", "[1]")),
    "speed NaN": Bad(TTS, raw("speed", b"NaN"), ("speed", "nan")),
    "speed Infinity": Bad(TTS, raw("speed", b"-Infinity"), ("speed", "-inf")),
    "speed 1e400": Bad(TTS, raw("speed", b"1e400"), ("speed", "inf")),
    "speed of 31 digits": Bad(TTS, raw("speed", BEYOND_64_BITS), ("speed", "1000000000")),
    "speed of 5,001 digits": Bad(TTS, raw("speed", MANY_DIGITS), ("not valid JSON", "digits")),
    "bad format": Bad(TTS, said(format="exe"), ("format", "'exe'", "wav")),
    "format as a number": Bad(TTS, said(format=5), ("format", "5")),
    "format null": Bad(TTS, said(format=None), ("format",)),
    "an unknown field": Bad(TTS, said(pitch=2), ("pitch",)),
    "an unknown field of a long name": Bad(TTS, said(**{LONG: 2}), ("xxx",)),
    "NUL in the text": Bad(TTS, said(text="a\0b"), ("text", "NUL")),
    "NUL in a field's name": Bad(TTS, said(**{"a\0b": 1}), ("NUL",)),
    "half a surrogate pair": Bad(TTS, b'{"text": "a\\ud800b"}', ("text", "surrogate")),
    "the other half": Bad(TTS, b'{"text": "a\\udc00b"}', ("text", "surrogate")),
    "a raw surrogate": Bad(TTS, b'{"text": "a\xed\xa0\x80b"}', ("text", "surrogate")),
    "invalid UTF-8": Bad(TTS, b'{"text": "a\xff\xfeb"}', ("not valid JSON",)),
}


def numbers(name: str, whole: bool, low: float, high: float) -> dict[str, Bad]:
    """Everything that is no number in the range of a field of speech."""
    values: dict[str, Any] = {
        "as text": str(low),
        "true": True,
        "as a list": [low],
        "as an object": {"a": low},
        "too low": low - 1,
        "too high": high + 1,
        "-2^63": -(2**63) + 1,
        "2^63 - 1": 2**63 - 1,
    }
    if whole:
        values |= {"with a fraction": low + 0.5, "1e3 as a float": float(low)}
    tokens = {"NaN": b"NaN", "Infinity": b"-Infinity", "1e400": b"1e400", "of 31 digits": BEYOND_64_BITS}
    return {
        f"{name} {what}": Bad(TTS, said(**{name: value}), (name, str(value)[:20])) for what, value in values.items()
    } | {f"{name} {what}": Bad(TTS, raw(name, value), (name,)) for what, value in tokens.items()}


FORMS = (
    numbers("sample_rate", True, 8000, 48000)
    | numbers("channels", True, 1, 2)
    | numbers("loudness_lufs", False, -36.0, -9.0)
    | numbers("seed", True, 0, 2**31 - 1)
    | {
        "a rate that opus has not": Bad(TTS, said(format="opus", sample_rate=22050), ("sample_rate", "22050", "24000")),
        "channels null": Bad(TTS, said(channels=None), ("channels",)),
        "course as a number": Bad(TTS, said(curriculum_id=5), ("curriculum_id", "5")),
        "a long course": Bad(TTS, said(curriculum_id=LONG), ("curriculum_id", "100000")),
        "NUL in the course": Bad(TTS, said(curriculum_id="a\0"), ("curriculum_id", "NUL")),
        "a surrogate in the course": Bad(TTS, raw("curriculum_id", b'"\\ud800"'), ("curriculum_id", "surrogate")),
        "stream maybe": Bad(f"{TTS}?stream=maybe", said(), ("stream", "'maybe'")),
        "stream 2": Bad(f"{TTS}?stream=2", said(), ("stream", "'2'")),
        "stream with NUL": Bad(f"{TTS}?stream=1%00", said(), ("stream",)),
        "a long stream": Bad(f"{TTS}?stream={'x' * 5000}", said(), ("stream",)),
        "loudness of a stream": Bad(f"{TTS}?stream=1", said(loudness_lufs=-16), ("loudness_lufs",)),
        "a stream of signs": Bad(f"{TTS}?stream=1", said(text="…!?"), ("text", "'…!?'")),
    }
)

SAID = {
    "no written form": Bad(SAY, {"spoken": "a"}, ("written",)),
    "no spoken form": Bad(SAY, {"written": "a"}, ("spoken",)),
    "an empty written form": Bad(SAY, {"written": "", "spoken": "a"}, ("written", "''")),
    "a blank spoken form": Bad(SAY, {"written": "a", "spoken": " \t"}, ("spoken", "' ")),
    "written signs": Bad(SAY, {"written": "…", "spoken": "a"}, ("written", "'…'")),
    "spoken signs": Bad(SAY, {"written": "a", "spoken": "//"}, ("spoken", "'//'")),
    "written 101 characters": Bad(SAY, {"written": "x" * 101, "spoken": "a"}, ("written", "101")),
    "spoken 201 characters": Bad(SAY, {"written": "a", "spoken": "x" * 201}, ("spoken", "201")),
    "half a slash": Bad(SAY, {"written": "a", "spoken": "/x"}, ("spoken", "'/x'")),
    "brackets": Bad(SAY, {"written": "a", "spoken": "[x]"}, ("spoken", "'[x]'")),
    "written as a number": Bad(SAY, {"written": 5, "spoken": "a"}, ("written", "5")),
    "spoken as a list": Bad(SAY, {"written": "a", "spoken": ["b"]}, ("spoken", "['b']")),
    "spoken null": Bad(SAY, {"written": "a", "spoken": None}, ("spoken",)),
    "NUL in the written form": Bad(SAY, {"written": "a\0", "spoken": "a"}, ("written", "NUL")),
    "a surrogate in the spoken form": Bad(SAY, b'{"written": "a", "spoken": "\\ud800"}', ("spoken", "surrogate")),
    "course as a number": Bad(SAY, {"written": "a", "spoken": "b", "curriculum_id": 5}, ("curriculum_id", "5")),
    "an unknown field": Bad(SAY, {"written": "a", "spoken": "b", "ipa": "c"}, ("ipa",)),
    "an unknown course": Bad(
        SAY, {"written": "a", "spoken": "b", "curriculum_id": "c"}, ("'c'",), status=404, code="NOT_FOUND"
    ),
    "a line of one field": Bad(SAYINGS, b"a,b\nc\n", ("line 2", "'c'"), method="PUT"),
    "a line that cannot be said": Bad(SAYINGS, b"a,b\nc,!\n", ("line 2", "'!'"), method="PUT"),
    "a file that is no text": Bad(SAYINGS, b"a,\xff\n", ("UTF-8",), method="PUT"),
    "a file with NUL": Bad(SAYINGS, b"a,b\0\n", ("NUL",), method="PUT"),
    "a file of surrogates": Bad(SAYINGS, b"a,\xed\xa0\x80\n", ("UTF-8",), method="PUT"),
    "a file for no course": Bad(
        f"{SAYINGS}?curriculum_id=c", b"a,b", ("'c'",), method="PUT", status=404, code="NOT_FOUND"
    ),
    "a file for a long course": Bad(
        f"{SAYINGS}?curriculum_id={'x' * 201}", b"a,b", ("curriculum_id", "201"), method="PUT"
    ),
    "a file of more than 16 MiB": Bad(
        SAYINGS, b" " * (16 * 2**20 + 1), (), method="PUT", status=413, code="PAYLOAD_TOO_LARGE"
    ),
}


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "tts-1", "voice": "nova", "input": "Hello."} | fields


def openai(body: Any, *names: str, **how: Any) -> Bad:
    return Bad(OPENAI, body, names, **{"code": "validation_error"} | how)


OPENAIS = {
    "no model": openai({"voice": "nova", "input": "Hi."}, "model"),
    "no voice": openai({"model": "tts-1", "input": "Hi."}, "voice"),
    "no input": openai({"model": "tts-1", "voice": "nova"}, "input"),
    "model as a number": openai(asked(model=5), "model", "5"),
    "model null": openai(asked(model=None), "model"),
    "an unknown model": openai(asked(model="gpt-9"), "'gpt-9'", status=404, code="model_not_found"),
    "a long model": openai(asked(model=LONG), "model", "100000"),
    "input as a list": openai(asked(input=["Hi."]), "input", "['Hi.']"),
    "input of 4,097 characters": openai(asked(input="x" * 4097), "input", "4097", "4096"),
    "NUL in the input": openai(asked(input="a\0b"), "input", "NUL"),
    "a surrogate in the input": openai(
        b'{"model": "tts-1", "voice": "nova", "input": "\\udfff"}', "input", "surrogate"
    ),
    "voice as a number": openai(asked(voice=5), "voice", "5"),
    "voice as a list": openai(asked(voice=["nova"]), "voice", "['nova']"),
    "voice null": openai(asked(voice=None), "voice"),
    "an object of no voice": openai(asked(voice={}), "voice", "{}"),
    "an id of no text": openai(asked(voice={"id": {"id": "nova"}}), "voice", "nova"),
    "an unknown voice": openai(asked(voice="nobody"), "'nobody'", "nova"),
    "a long voice": openai(asked(voice=LONG), "voice", "xxx"),
    "NUL in the voice": openai(asked(voice={"id": "a\0"}), "voice.id", "NUL"),
    "format as a number": openai(asked(response_format=5), "response_format", "5"),
    "a bad format": openai(asked(response_format="exe"), "response_format", "'exe'", "mp3"),
    "speed 0": openai(asked(speed=0), "speed", "0.25 to 4"),
    "speed as text": openai(asked(speed="1"), "speed", "'1'"),
    "speed NaN": openai(b'{"model": "tts-1", "voice": "nova", "input": "Hi.", "speed": NaN}', "speed", "nan"),
    "speed of 31 digits": openai(
        b'{"model": "tts-1", "voice": "nova", "input": "Hi.", "speed": %s}' % BEYOND_64_BITS, "speed", "1000000000"
    ),
    "instructions as a number": openai(asked(instructions=5), "instructions", "5"),
    "long instructions": openai(asked(instructions=LONG), "instructions", "100000"),
    "NUL in the instructions": openai(asked(instructions="a\0"), "instructions", "NUL"),
    "a bad stream format": openai(asked(stream_format="tape"), "stream_format", "'tape'", "sse"),
    "stream format true": openai(asked(stream_format=True), "stream_format", "True"),
    "NUL in what is not known": openai(asked(pitch="a\0"), "pitch", "NUL"),
    "a list": openai([asked()], "object", "list"),
    "malformed JSON": openai(b'{"model": ', "not valid JSON"),
    "more than 16 MiB": openai(b" " * (16 * 2**20 + 1), status=413, code="payload_too_large"),
    "items as an object": Bad(BATCH, {"items": {}}, ("items", "{}"), code="validation_error"),
    "no items": Bad(BATCH, {}, ("items",), code="validation_error"),
    "an empty batch": Bad(BATCH, {"items": []}, ("items",), code="validation_error"),
    "257 items": Bad(BATCH, {"items": [asked()] * 257}, ("items", "256"), code="validation_error"),
    "a bad encoding": Bad(BATCH, {"items": [asked()], "encoding": "hex"}, ("'hex'", "base64"), code="validation_error"),
    "NUL deep in an item": Bad(
        BATCH, {"items": [asked(), asked(input="a\0")]}, ("items[1].input", "NUL"), code="validation_error"
    ),
    "a surrogate deep in an item": Bad(
        BATCH, b'{"items": [{"input": "\\ud800"}]}', ("surrogate",), code="validation_error"
    ),
}

BODIES = {
    "no body": Bad(TTS, b"", ("text",)),
    "malformed JSON": Bad(TTS, b'{"text": "Hel', ("not valid JSON",)),
    "an empty list": Bad(TTS, [], ("object", "list")),
    "a list": Bad(TTS, [{"text": "Hello."}], ("object", "list")),
    "a text": Bad(TTS, "Hello.", ("object", "str")),
    "a number": Bad(TTS, 5, ("object", "int")),
    "null": Bad(TTS, b"null", ("object", "NoneType")),
    "two values": Bad(TTS, b"{} {}", ("not valid JSON",)),
    "nested 100,000 deep": Bad(TTS, b"[" * 100_000, ("not valid JSON",)),
    "a form": typed("application/x-www-form-urlencoded", b"text=Hello"),
    "plain text": typed("text/plain", b"Hello"),
    "multipart": typed("multipart/form-data; boundary=x", b"--x--"),
    "JSON of no type": typed("", b'{"text": "Hello."}'),
    "more than 16 MiB": Bad(TTS, b" " * (16 * 2**20 + 1), (), status=413, code="PAYLOAD_TOO_LARGE"),
    "a course of more than 16 MiB": Bad(
        CURRICULUM, b" " * (16 * 2**20 + 1), (), status=413, code="PAYLOAD_TOO_LARGE"
    ),
}  # fmt: skip

LOGINS = {
    "no password": Bad(LOGIN, {"username": "client"}, ("password",)),
    "an empty username": Bad(LOGIN, {"username": "", "password": "x"}, ("username", "''")),
    "username as a number": Bad(LOGIN, {"username": 5, "password": "x"}, ("username", "5")),
    "NUL in the username": Bad(LOGIN, {"username": "a\0", "password": "x"}, ("username", "NUL")),
    "a surrogate in the password": Bad(LOGIN, b'{"username": "a", "password": "\\ud800"}', ("password", "surrogate")),
    "a password of a megabyte": Bad(LOGIN, {"username": "a", "password": "x" * 10**6}, ("password", "1000000")),
}

PREFETCHES = {
    "no course": Bad(PREFETCH, {"topic_id": "t"}, ("curriculum_id",)),
    "an empty course": Bad(PREFETCH, {"curriculum_id": ""}, ("curriculum_id", "''")),
    "course as a number": Bad(PREFETCH, {"curriculum_id": 5}, ("curriculum_id", "5")),
    "a long course": Bad(PREFETCH, {"curriculum_id": LONG}, ("curriculum_id", "100000")),
    "an unknown voice": Bad(PREFETCH, {"curriculum_id": "c", "voice_id": "nobody"}, ("voice_id", "'nobody'")),
    "an unknown provider": Bad(PREFETCH, {"curriculum_id": "c", "provider": "nobody"}, ("provider", "'nobody'")),
    "speed 9": Bad(PREFETCH, {"curriculum_id": "c", "speed": 9}, ("speed", "9")),
    "an unknown field": Bad(PREFETCH, {"curriculum_id": "c", "priority": 1}, ("priority",)),
    "an unknown course": Bad(PREFETCH, {"curriculum_id": "nothing"}, ("'nothing'",), status=404, code="NOT_FOUND"),
}

COURSES = (
    {
        "no title": Bad(CURRICULUM, {"content": []}, ("title",)),
        "an empty title": Bad(CURRICULUM, course(title=""), ("title", "''")),
        "a blank title": Bad(CURRICULUM, course(title="  "), ("title", "'  '")),
        "a long title": Bad(CURRICULUM, course(title="x" * 501), ("title", "501")),
        "title as a list": Bad(CURRICULUM, course(title=["a"]), ("title", "['a']")),
        "description as a number": Bad(CURRICULUM, course(description=5), ("description", "5")),
        "content as a text": Bad(CURRICULUM, course(content="One."), ("content", "'One.'")),
        "content as an object": Bad(CURRICULUM, course(content={"title": "a"}), ("content", "{'title': 'a'}")),
        "content null": Bad(CURRICULUM, course(content=None), ("content",)),
        "a topic that is a number": Bad(CURRICULUM, course(content=[5]), ("content[0]", "5")),
        "a topic without a title": Bad(CURRICULUM, course(content=[{"segments": []}]), ("content[0].title", "None")),
        "a blank topic title": Bad(CURRICULUM, topic(title="  "), ("content[0].title", "empty")),
        "segments as a number": Bad(CURRICULUM, topic(segments=5), ("content[0].segments", "5")),
        "a segment that is a number": Bad(CURRICULUM, topic(segments=["One.", 5]), ("content[0].segments[1]", "5")),
        "a segment without a text": Bad(CURRICULUM, topic(segments=[{"id": "s"}]), ("content[0].segments[0].text",)),
        "an empty segment": Bad(CURRICULUM, topic(segments=[""]), ("content[0].segments[0]", "empty")),
        "a segment of 20,001 characters": Bad(CURRICULUM, topic(segments=["x" * 20_001]), ("segments[0]", "20001")),
        "an id that is a list": Bad(CURRICULUM, topic(id=["a"]), ("content[0].id", "['a']")),
        "an id that is true": Bad(CURRICULUM, topic(id=True), ("content[0].id", "True")),
        "an empty id": Bad(CURRICULUM, topic(id=""), ("content[0].id", "''")),
        "a long id": Bad(CURRICULUM, topic(id=LONG), ("content[0].id",)),
        "one topic id twice": Bad(
            CURRICULUM, course(content=[{"id": "t", "title": "A"}, {"id": "t", "title": "B"}]), ("opic id", "'t'")
        ),
        "one segment id twice": Bad(
            CURRICULUM, topic(segments=[{"id": "s", "text": "A"}, {"id": "s", "text": "B"}]), ("egment id", "'s'")
        ),
        "NUL deep in unknown keys": Bad(
            CURRICULUM, topic(notes={"a": [{"b": "x\0y"}]}), ("content[0].notes.a[0].b", "NUL")
        ),
        "NUL in an unknown key's name": Bad(CURRICULUM, topic(notes={"a": {"x\0y": 1}}), ("content[0].notes.a", "NUL")),
        "a surrogate deep in unknown keys": Bad(
            CURRICULUM,
            b'{"title": "C", "content": [{"title": "T", "n": ["\\udfff"]}]}',
            ("content[0].n[0]", "surrogate"),
        ),
        "NaN deep in unknown keys": Bad(
            CURRICULUM, b'{"title": "C", "content": [{"title": "T", "n": [NaN]}]}', ("content[0].n[0]", "nan")
        ),
        "a huge integer in unknown keys": Bad(
            CURRICULUM,
            b'{"title": "C", "content": [{"title": "T", "n": %s}]}' % BEYOND_64_BITS,
            ("content[0].n", "10000"),
        ),
        "an unknown field": Bad(CURRICULUM, course(level=1), ("level",)),
    }
    | {
        "nested 200 deep": Bad(CURRICULUM, topic(notes=nested(200)), ("content[0].notes", "deep")),
    }
    | {
        # Where Python's own limit strikes first depends on how deep the reader stands.
        f"nested {depth} deep": Bad(CURRICULUM, with_nested_notes(depth), ("de",))
        for depth in (800, 850, 900, 925, 950)
    }
)

QUERIES = {
    "limit -1": Bad(f"{CURRICULUM}?limit=-1", None, ("limit", "-1"), method="GET"),
    "limit abc": Bad(f"{CURRICULUM}?limit=abc", None, ("limit", "'abc'"), method="GET"),
    "limit 1.5": Bad(f"{CURRICULUM}?limit=1.5", None, ("limit", "'1.5'"), method="GET"),
    "limit --5": Bad(f"{CURRICULUM}?limit=--5", None, ("limit", "'--5'"), method="GET"),
    "limit ²": Bad(f"{CURRICULUM}?limit=²", None, ("limit",), method="GET"),
    "limit ٣": Bad(f"{CURRICULUM}?limit=٣", None, ("limit", "'٣'"), method="GET"),
    "an empty limit": Bad(f"{CURRICULUM}?limit=", None, ("limit", "''"), method="GET"),
    "limit with NUL": Bad(f"{CURRICULUM}?limit=1%00", None, ("limit", "NUL"), method="GET"),
    "a limit of 5,000 digits": Bad(f"{CURRICULUM}?limit={'9' * 5000}", None, ("limit",), method="GET"),
    "offset -1": Bad(f"{CURRICULUM}?offset=-1", None, ("offset", "-1"), method="GET"),
    "state bogus": Bad("/api/jobs?state=bogus", None, ("state", "'bogus'", "queued"), method="GET"),
    "jobs limit -1": Bad("/api/jobs?limit=-1", None, ("limit", "-1"), method="GET"),
    "a long kind": Bad(f"/api/jobs?kind={'x' * 101}", None, ("kind", "101"), method="GET"),
    "NUL in the kind": Bad("/api/jobs?kind=%00", None, ("kind", "NUL"), method="GET"),
    "a bad cursor": Bad("/api/jobs?cursor=nothing", None, ("cursor", "'nothing'"), method="GET"),
    "a long cursor": Bad(f"/api/jobs?cursor={'x' * 101}", None, ("cursor", "101"), method="GET"),
    "no text": Bad(LOOK, None, ("text",), method="GET"),
    "an empty text": Bad(f"{LOOK}?text=", None, ("text", "''"), method="GET"),
    "NUL in the text": Bad(f"{LOOK}?text=a%00b", None, ("text", "NUL"), method="GET"),
    "an unknown voice": Bad(f"{LOOK}?text=a&voice_id=nobody", None, ("voice_id", "'nobody'"), method="GET"),
    "an unknown provider": Bad(f"{LOOK}?text=a&provider=nobody", None, ("provider", "'nobody'"), method="GET"),
    "speed 9": Bad(f"{LOOK}?text=a&speed=9", None, ("speed", "9"), method="GET"),
    "speed nan": Bad(f"{LOOK}?text=a&speed=nan", None, ("speed", "nan"), method="GET"),
    "speed 1e400": Bad(f"{LOOK}?text=a&speed=1e400", None, ("speed", "inf"), method="GET"),
    "speed fast": Bad(f"{LOOK}?text=a&speed=fast", None, ("speed", "'fast'"), method="GET"),
    "a seed of text": Bad(f"{LOOK}?text=a&seed=x", None, ("seed", "'x'"), method="GET"),
    "a seed of ٣": Bad(f"{LOOK}?text=a&seed=٣", None, ("seed", "'٣'"), method="GET"),
    "a seed below 0": Bad(f"{LOOK}?text=a&seed=-1", None, ("seed", "-1"), method="GET"),
    "a seed of 5,000 digits": Bad(f"{LOOK}?text=a&seed={'9' * 5000}", None, ("seed",), method="GET"),
    "a long course": Bad(f"{LOOK}?text=a&curriculum_id={'x' * 201}", None, ("curriculum_id", "201"), method="GET"),
    "a rate of text": Bad("/api/speech/a.wav?sample_rate=x", None, ("sample_rate", "'x'"), method="GET"),
    "a rate of 7999": Bad("/api/speech/a.wav?sample_rate=7999", None, ("sample_rate", "7999"), method="GET"),
    "three channels": Bad("/api/speech/a.wav?channels=3", None, ("channels", "3"), method="GET"),
    "channels ²": Bad("/api/speech/a.wav?channels=²", None, ("channels",), method="GET"),
    "loudness nan": Bad("/api/speech/a.wav?loudness_lufs=nan", None, ("loudness_lufs", "nan"), method="GET"),
    "loudness 0": Bad("/api/speech/a.wav?loudness_lufs=0", None, ("loudness_lufs", "0"), method="GET"),
    "captions as a picture": Bad("/api/speech/a/captions?format=png", None, ("format", "'png'", "vtt"), method="GET"),
    "captions with NUL": Bad("/api/speech/a/captions?format=a%00", None, ("format", "NUL"), method="GET"),
    "captions of speed 9": Bad("/api/curriculum/c/topics/t/captions?speed=9", None, ("speed", "9"), method="GET"),
    "captions of a long voice": Bad(
        f"/api/curriculum/c/topics/t/captions?voice_id={'x' * 101}", None, ("voice_id", "101"), method="GET"
    ),
    "a long scope": Bad(f"{SAY}?curriculum_id={'x' * 201}", None, ("curriculum_id", "201"), method="GET"),
    "NUL in the scope": Bad(f"{SAY}?curriculum_id=a%00", None, ("curriculum_id", "NUL"), method="GET"),
    "voices limit -1": Bad("/api/tts/voices?limit=-1", None, ("limit", "-1"), method="GET"),
    "voices limit ²": Bad("/api/tts/voices?limit=²", None, ("limit",), method="GET"),
    "voices offset abc": Bad("/api/tts/voices?offset=abc", None, ("offset", "'abc'"), method="GET"),
    "voices offset with NUL": Bad("/api/tts/voices?offset=1%00", None, ("offset",), method="GET"),
}

_UNKNOWN = {"status": 404, "code": "NOT_FOUND", "method": "GET"}
PATHS = {
    f"{path} {name}": Bad(path.format(bad), None, (), **(_UNKNOWN | {"method": method}))
    for method, path in (
        ("GET", "/api/curriculum/{}"),
        ("GET", "/api/jobs/{}"),
        ("GET", "/api/jobs/{}/items"),
        ("GET", "/api/jobs/{}/result"),
        ("POST", "/api/jobs/{}/cancel"),
        ("POST", "/api/jobs/{}/pause"),
        ("POST", "/api/jobs/{}/resume"),
        ("POST", "/api/jobs/{}/retry"),
        ("GET", "/api/tts/prefetch/{}"),
        ("DELETE", "/api/tts/prefetch/{}"),
        ("GET", "/api/speech/{}.wav"),
        ("GET", "/api/speech/{}/captions"),
        ("GET", "/api/curriculum/{}/topics/t/captions"),
        ("GET", "/api/curriculum/c/topics/{}/captions"),
        ("DELETE", "/api/pronunciations/{}"),
    )
    for name, bad in {
        "unknown": "nothing",
        "NUL": "a%00b",
        "very long": "x" * 60_000,
        "a quote": "'; drop table jobs; --",
        "a control character": "a%01b",
        "a lone surrogate": "a%ED%A0%80b",
        "not UTF-8": "a%FFb",
        "dots": "..%2f..%2fetc",
    }.items()
} | {
    "an unknown format": Bad("/api/speech/nothing.exe", None, ("'exe'", "wav"), **_UNKNOWN),
}  # fmt: skip

TABLES = {
    "speech": SPEECH,
    "form": FORMS,
    "pronunciation": SAID,
    "openai": OPENAIS,
    "body": BODIES,
    "login": LOGINS,
    "prefetch": PREFETCHES,
    "course": COURSES,
    "query": QUERIES,
    "path": PATHS,
}
