"""The engines a process keeps: those it can have, and a clear word about the others."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from workers import resident
from workers.device import Device
from workers.errors import RetryLater
from workers.tts import provider
from workers.tts.provider import NotSetUp

CPU = Device("cpu", 1)


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_loaded", {})


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str] | None]]:
    """What was loaded, with its options: ``here`` can be, ``gone`` is not installed, ``bare`` is not set up."""
    asked: list[tuple[str, dict[str, str] | None]] = []

    def load(name: str, device: Device, options: dict[str, str] | None = None) -> object:
        asked.append((name, options))
        if name == "gone":
            raise ModuleNotFoundError("No module named 'gone'", name="gone")
        if name == "bare":
            raise NotSetUp("BARE_URL is not set")
        return SimpleNamespace(name=name, revision="1")

    monkeypatch.setattr(provider, "load", load)
    return asked


def test_what_may_be_missing_is_left_out_with_a_word(engines: list[object], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = resident.load(["here", "gone", "bare"], CPU, options={"here": {"a": "b"}}, optional=["gone", "bare"])
    assert found == {"here": "1"}
    assert engines == [("here", {"a": "b"}), ("gone", None), ("bare", None)]
    assert [record.getMessage() for record in caplog.records] == [
        "Engine gone is left out: No module named 'gone'",
        "Engine bare is left out: BARE_URL is not set",
    ]


def test_what_must_be_there_is_an_error(engines: list[object]) -> None:
    with pytest.raises(ModuleNotFoundError):
        resident.load(["gone"], CPU)


def test_an_engine_is_loaded_once(engines: list[object]) -> None:
    resident.load(["here"], CPU)
    assert resident.engine("here") is resident.engine("here")
    assert len(engines) == 1


@pytest.mark.parametrize("name", ["gone", "bare"])
def test_work_for_an_engine_that_this_worker_lacks_is_for_another(engines: list[object], name: str) -> None:
    with pytest.raises(RetryLater, match=f"no engine {name}") as told:
        resident.engine(name)
    assert told.value.code == "engine_missing"
