"""What there is and what runs short: GPUs, models that are loaded and that are not, and each warning."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete

from app import machine
from app.machine import Space
from config import voices
from config.settings import Settings
from models import curriculum_assets, workers
from models.curriculum_assets import NewAsset
from models.db import Database
from models.speech_renditions import Form, MadeFile
from tests import making

MIB, GIB = 2**20, 2**30
GPU = {
    "uuid": "GPU-1",
    "name": "NVIDIA Stand-in",
    "memory_total_bytes": 80 * GIB,
    "memory_used_bytes": 8 * GIB,
    "utilization_percent": 12,
}
Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(configured: Settings, clean: None, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """What is answered with other settings, on a machine that has plenty of everything unless it is said."""
    from app import create_app

    made = []

    def ask(*, disk: float = 50, memory: float = 50, **changed: Any) -> dict[str, Any]:
        monkeypatch.setattr(machine, "disk", lambda folder: Space(100 * GIB, int(disk * GIB), int((100 - disk) * GIB)))
        monkeypatch.setattr(
            machine, "memory", lambda: Space(10 * GIB, int(memory * GIB / 10), int((100 - memory) * GIB / 10))
        )
        made.append(create_app(dataclasses.replace(configured, **changed)))
        answer = made[-1].test_client().get("/api/v1/resources", headers=admin)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.get_json()
        return found

    yield ask
    for app in made:
        app.extensions["voiceworks"].hub.stop()
        app.extensions["voiceworks"].database.dispose()


@pytest.fixture
def register_of_its_own(database: Database) -> Iterator[None]:
    """Removes the workers that a test invented."""
    yield
    with database.transaction() as session:
        session.execute(delete(workers.Worker).where(workers.Worker.host == "here"))


def register(database: Database, node: str, gpu: dict[str, Any] | None, **engines: str) -> None:
    making.register(database, node, making.LANE, engines=engines, device="cuda:0" if gpu else "cpu")
    with database.transaction() as session:
        workers.beat(session, node, current_unit=None, memory_bytes=512 * MIB, cpu_percent=1.5, gpu=gpu)


def test_with_room_for_everything_nothing_is_warned_of(look: Look) -> None:
    found = look(disk=79.9, memory=79.9)
    assert found["warnings"] == []
    assert found["disk"]["used_percent"] == 79.9


def test_each_thing_that_runs_short_has_its_sentence(
    look: Look, database: Database, register_of_its_own: None, configured: Settings
) -> None:
    making.make_clip(database, making.spec(), MadeFile(Form("wav"), "a", 80))
    for number in range(4):
        making.submit(database, kind="speech.speak", live=True, lane=f"nobody's {number}")
    full = GPU | {"memory_used_bytes": 64 * GIB}
    register(database, "gpu0@here", full)
    # The same GPU of another worker is told once.
    register(database, "gpu0b@here", full)
    register(database, "gpu1@here", GPU | {"uuid": "GPU-2"})
    found = look(disk=80, memory=95, speech_cache_max_bytes=100, live_waiting_max=5)
    disk, memory, cache, gpu, queue = found["warnings"]
    assert disk == f"The disk of {configured.var_dir} is 80 % full: 20.0 GiB are left."
    assert memory == "95 % of the memory is used: 0.5 GiB are left."
    assert cache.startswith("The cache of spoken audio is 80 % full")
    assert gpu == "80 % of the memory of NVIDIA Stand-in on here is used (gpu0@here)."
    assert queue == "4 live requests wait for a worker; beyond 5 they are refused."
    assert found["live_queue"] == {"waiting": 4, "limit": 5}


def test_gpus_and_models_are_those_of_the_workers_that_live(
    look: Look, database: Database, register_of_its_own: None
) -> None:
    register(database, "gpu0@here", GPU, vits="7")
    register(database, "io@here", None)
    found = look()
    (gpu,) = [each for each in found["gpus"] if each["host"] == "here"]
    assert gpu == {
        "name": "NVIDIA Stand-in",
        "uuid": "GPU-1",
        "host": "here",
        "node": "gpu0@here",
        "memory_total_mb": 80 * 1024,
        "memory_used_mb": 8 * 1024,
        "utilization_percent": 12,
    }
    engines = {model["engine"]: model for model in found["models"] if model["host"] == "here" or not model["loaded"]}
    assert engines["vits"] == {
        "engine": "vits",
        "revision": "7",
        "loaded": True,
        "node": "gpu0@here",
        "host": "here",
        "device": "cuda:0",
        "memory_mb": 512,
    }
    assert {model["engine"] for model in found["models"]} == set(voices.catalogue().engines)
    assert (engines["remote"]["loaded"], engines["remote"]["node"], engines["remote"]["memory_mb"]) == (False, None, 0)
    # A worker without engines has no models in its memory.
    others = sum({m["node"]: m["memory_mb"] for m in found["models"] if m["host"] not in ("here", None)}.values())
    assert found["memory"]["models_mb"] == pytest.approx(512 + others, abs=2)


def test_outputs_are_spoken_audio_and_images(look: Look, database: Database) -> None:
    making.make_clip(database, making.spec(), MadeFile(Form("wav"), "a", 3 * MIB))
    course = making.course(database, ["One."])
    with database.transaction() as session:
        curriculum_assets.replace(session, course, [NewAsset("a.png", "f" * 64, "image/png", 2 * MIB)])
    disk = look()["disk"]
    assert (disk["outputs_size_mb"], disk["outputs_size_bytes"]) == (5, 5 * MIB)


def test_limits_are_those_in_force(look: Look) -> None:
    limits = look(max_upload_mb=7, live_waiting_max=9, rate_limits=False)["limits"]
    assert (limits["max_file_size_mb"], limits["max_concurrent_requests"]) == (7, 9)
    assert limits["requests_per_minute"] is None
    counted = look(rate_limits=True, rate_limit_by_name={"administration": 50, "cleanup": 2})["limits"]
    assert counted["requests_per_minute"] == {"administration": 50, "cleanup": 2}
