"""Whatever a client asks of a stored file: exactly the bytes that the answer says it has, or a refusal that is one."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from config.settings import Settings
from models import speech_voices, workers
from models.db import Database
from models.files import FileStore
from models.speech_renditions import Form, MadeFile
from tests import making

CONTENT = bytes(range(256)) * 4
SIZE = len(CONTENT)
# What may stand in a header: whoever sends more is not let in by any server.
LATIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
NUMBER = st.one_of(
    st.integers(-5, SIZE + 5).map(str),
    st.sampled_from(["", "0", "00", "1e3", "+1", " 1", "٣", "²", "9" * 18, "9" * 5000]),
).filter(lambda text: text.isascii() or text == "²")
RANGE = st.one_of(
    st.builds("{}={}-{}".format, st.sampled_from(["bytes", "bytes", "Bytes", "bytes ", "items", ""]), NUMBER, NUMBER),
    st.lists(st.builds("{}-{}".format, NUMBER, NUMBER), max_size=200).map(lambda parts: "bytes=" + ",".join(parts)),
    LATIN.map("bytes={}".format),
    LATIN,
)
CONDITION = st.one_of(
    st.none(), st.sampled_from(["*", '"x"', 'W/"x"', "ETAG", "W/ETAG", '"', "Wed, 21 Oct 2015 07:28:00 GMT"]), LATIN
)
HEADERS = st.fixed_dictionaries(
    {"Range": RANGE},
    optional=dict.fromkeys(
        ("If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"), CONDITION
    ),
)


@pytest.fixture
def path(client: FlaskClient, database: Database, configured: Settings) -> str:
    """Where a clip of 1,024 bytes is."""
    file = FileStore(configured.var_dir / "files").put(CONTENT)
    with database.transaction() as session:
        spec = speech_voices.resolve(workers.engines(session), None, None).clip("Hello.", 1.0)
    return f"/api/speech/{making.make_clip(database, spec, MadeFile(Form('wav'), file, SIZE))}.wav"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS, method=st.sampled_from(["GET", "GET", "HEAD"]))
@example(headers={"Range": "bytes=0-0," * 1000}, method="GET")
@example(headers={"Range": "bytes=0-0", "If-Match": "*"}, method="GET")
def test_any_range_is_answered_with_the_bytes_that_it_says(
    client: FlaskClient, customer: dict[str, str], path: str, headers: dict[str, str | None], method: str
) -> None:
    whole = client.head(path, headers=customer)
    etag = whole.headers["ETag"]
    sent = {name: value.replace("ETAG", etag) for name, value in headers.items() if value is not None}
    answer = client.open(path, method=method, headers=customer | sent)
    assert answer.status_code in (200, 206, 304, 412, 416)
    # How many bytes the answer has, or would have.
    length = int(answer.headers.get("Content-Length", 0))
    body = answer.data if method == "GET" else None
    if answer.status_code == 206:
        said = re.fullmatch(rf"bytes (\d+)-(\d+)/{SIZE}", answer.headers["Content-Range"])
        assert said
        first, last = int(said[1]), int(said[2])
        assert 0 <= first <= last < SIZE
        assert length == last + 1 - first
        assert body in (None, CONTENT[first : last + 1])
    elif answer.status_code == 200:
        assert length == SIZE
        assert body in (None, CONTENT)
        assert "Content-Range" not in answer.headers
    elif answer.status_code == 416:
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"
    if answer.status_code in (200, 206, 304):
        assert answer.headers["ETag"] == etag
