"""The file of a backup: what is in it is what was put in, in the format of today."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.backup import envelope
from models.errors import Invalid

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def packed(data: dict[str, Any]) -> dict[str, Any]:
    return envelope.pack(data, {"mode": "omitted"})


@given(records=st.lists(VALUES, max_size=3), ascii_only=st.booleans(), ordered=st.booleans())
def test_a_checksum_is_the_same_however_a_file_is_laid_out(records: list[Any], ascii_only: bool, ordered: bool) -> None:
    written = json.dumps(records, indent=3, ensure_ascii=ascii_only, sort_keys=ordered)
    assert envelope.checksum(json.loads(written)) == envelope.checksum(records)


@pytest.mark.parametrize(("one", "other"), [([1], ["1"]), ([True], [1]), ([None], []), ([{"a": 1}], [{"a": 2}])])
def test_other_records_have_another_checksum(one: list[Any], other: list[Any]) -> None:
    assert envelope.checksum(one) != envelope.checksum(other)


def test_what_was_packed_comes_out() -> None:
    file = packed({"groups": [{"name": "G"}], "services": []})
    assert envelope.unpack(json.loads(json.dumps(file))) == {"groups": [{"name": "G"}], "services": []}


@pytest.mark.parametrize(
    ("field", "value"),
    [("checksums", {"groups": "0" * 64}), ("checksums", {"others": "0" * 64}), ("counts", {"groups": 2})],
)
def test_what_does_not_fit_what_is_said_of_it_is_refused(field: str, value: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(value))) as refused:
        envelope.unpack(packed({"groups": [{"name": "G"}]}) | {field: value})
    assert refused.value.code == "backup_corrupt"


@pytest.mark.parametrize("version", ["", "1", "one", "1.0.0", "-1.0", "1.0\n"])
def test_what_is_no_version_is_refused_by_name(version: str) -> None:
    with pytest.raises(Invalid, match="version"):
        envelope.unpack({"version": version, "data": {}})


def test_an_older_file_goes_through_every_format_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(envelope.MIGRATIONS, "0.7", ("0.8", lambda data: data | {"a": [*data]}))
    monkeypatch.setitem(envelope.MIGRATIONS, "0.8", ("1.0", lambda data: data | {"b": [*data]}))
    assert envelope.unpack({"version": "0.7", "data": {}}) == {"a": [], "b": ["a"]}
