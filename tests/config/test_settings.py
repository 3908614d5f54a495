"""Settings: what may be said, and every fault named at once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from config import embedded, settings
from config.settings import Settings, SettingsError
from tests import making

NAMES = [name for name, _ in settings.variables()]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set but a folder of this test's own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))


def load(monkeypatch: pytest.MonkeyPatch, **env: str) -> Settings:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return settings.load()


def faults(monkeypatch: pytest.MonkeyPatch, **env: str) -> dict[str, str]:
    """The sentences of a refusal by the variable that each begins with."""
    with pytest.raises(SettingsError) as refusal:
        load(monkeypatch, **env)
    return {name: sentence for name, _, sentence in (line.partition(": ") for line in str(refusal.value).split("\n"))}


def test_without_anything_said_everything_runs_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = load(monkeypatch)
    assert (found.host, found.ports) == ("127.0.0.1", (8766,))
    assert (found.embedded_postgres, found.embedded_redis) == (True, True)
    assert found.database_url == embedded.postgres_url(tmp_path)
    assert found.redis_url == embedded.valkey_url(tmp_path, "queue")
    assert found.stream_redis_url == embedded.valkey_url(tmp_path, "stream")
    assert found.open_surfaces == frozenset()


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(monkeypatch).host = "0.0.0.0"  # type: ignore[misc]


def test_what_is_said_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(
        monkeypatch,
        PORTS="8766, 8002,7860",
        OPEN_SURFACES="gateway,wakewords",
        DATABASE_URL="postgresql://me@db/voice",
        REDIS_URL="redis://queue:6379/3",
        LIVE_WAITING_MAX="7",
        LOG_LEVEL="DEBUG",
    )
    assert found.ports == (8766, 8002, 7860)
    assert found.open_surfaces == {"gateway", "wakewords"}
    assert found.database_url == "postgresql+psycopg://me@db/voice"
    assert (found.redis_url, found.embedded_redis, found.embedded_postgres) == ("redis://queue:6379/3", False, False)
    # One Redis serves both unless another is named.
    assert found.stream_redis_url == "redis://queue:6379/3"
    assert (found.live_waiting_max, found.log_level) == (7, "DEBUG")


def test_streams_may_have_a_redis_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(monkeypatch, REDIS_URL="redis://a", STREAM_REDIS_URL="rediss://b")
    assert (found.redis_url, found.stream_redis_url) == ("redis://a", "rediss://b")


@pytest.mark.parametrize(("said", "meant"), [("", ""), ("/", ""), ("stored", "/stored/"), ("/a/stored/", "/a/stored/")])
def test_a_location_in_nginx_has_its_slashes(monkeypatch: pytest.MonkeyPatch, said: str, meant: str) -> None:
    assert load(monkeypatch, X_ACCEL_PREFIX=said).x_accel_prefix == meant


@pytest.mark.parametrize("said", ["..", "/stored/../", "../files", "/a/../b/"])
def test_a_location_in_nginx_does_not_lead_out_of_itself(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    assert repr(said) in faults(monkeypatch, X_ACCEL_PREFIX=said)["X_ACCEL_PREFIX"]


@pytest.mark.parametrize("name", ["METRICS_TOKEN", "VOICEWORKS_API_KEY", "SECRET_KEY", "FLOWER_PASSWORD"])
def test_a_blank_secret_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert set(faults(monkeypatch, **{name: " "})) == {name}


def test_the_scrapers_token_is_not_the_administrators_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found = faults(monkeypatch, METRICS_TOKEN="the same", VOICEWORKS_API_KEY="the same", WEB_PROCESSES="0")
    assert set(found) == {"METRICS_TOKEN", "WEB_PROCESSES"}
    assert "VOICEWORKS_API_KEY" in found["METRICS_TOKEN"]
    # Two that are not set are not alike.
    assert load(monkeypatch, METRICS_TOKEN="", VOICEWORKS_API_KEY="", WEB_PROCESSES="1").metrics_token == ""


BAD_URLS = {"DATABASE_URL": "mysql://here", "REDIS_URL": "here:6379", "STREAM_REDIS_URL": "http://here"}


@pytest.mark.parametrize("name", [*BAD_URLS, "SECRET_KEY", "OPEN_SURFACES", "PORTS"])
def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plain = load(monkeypatch)
    assert dataclasses.replace(load(monkeypatch, **{name: ""}), configured_secret_key=None) == plain


BAD = {
    "PORTS": "8766,seventy",
    "FLOWER_PORT": "0",
    "WEB_PROCESSES": "0",
    "OPEN_SURFACES": "gateway,moon",
    "ACCESS_TOKEN_SECONDS": "0",
    "REFRESH_TOKEN_SECONDS": "-1",
    "SPEECH_CACHE_MAX_BYTES": "lots",
    "SPEECH_CACHE_TTL_DAYS": "0",
    "LIVE_WAITING_MAX": "0",
    "LIVE_WAITING_SHARE": "x",
    "LIVE_WAIT_SECONDS": "0",
    "MAX_UPLOAD_MB": "1.5",
    "WEBHOOK_ALLOW_PRIVATE": "perhaps",
    "MIT_OCW_URL": "ocw.mit.edu",
    "IMPORT_ALLOW_PRIVATE": "perhaps",
    "IMPORT_MAX_DOWNLOAD_MB": "0",
    "IMPORT_PAUSE_SECONDS": "-1",
    "LOG_LEVEL": "LOUD",
    "LOG_FORMAT": "colourful",
    "FLOWER_URL": "flower.example",
    **BAD_URLS,
}


def test_every_fault_is_reported_at_once_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    found = faults(monkeypatch, **BAD)
    assert set(found) == set(BAD)
    assert all(len(sentence) > 10 for sentence in found.values()), found


@pytest.mark.parametrize("name", BAD)
def test_each_fault_alone_is_reported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert set(faults(monkeypatch, **{name: BAD[name]})) == {name}


@pytest.mark.parametrize("ports", ["0", "65536", "8766,-1", "8766,seventy", "8766,", "²"])
def test_a_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, ports: str) -> None:
    assert repr(ports.split(",")[-1]) in faults(monkeypatch, PORTS=ports)["PORTS"]


# --- The secret key --------------------------------------------------------------------------------------------------


def test_a_secret_key_that_is_set_is_used_and_none_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load(monkeypatch, SECRET_KEY="chosen").secret_key == "chosen"
    assert not (tmp_path / "secret.key").exists()


def test_a_key_is_made_once_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, second = load(monkeypatch).secret_key, load(monkeypatch).secret_key
    assert first == second
    assert len(bytes.fromhex(first)) == 32
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_flower_has_a_password_that_is_made_once_and_only_its_owner_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = load(monkeypatch).flower_password
    assert len(made) >= 20
    assert made == load(monkeypatch).flower_password == (tmp_path / "flower.password").read_text()
    assert (tmp_path / "flower.password").stat().st_mode & 0o777 == 0o600
    # An unset one is not an empty one.
    assert load(monkeypatch, FLOWER_PASSWORD="").flower_password == made
    assert load(monkeypatch, FLOWER_PASSWORD="chosen: by hand").flower_password == "chosen: by hand"
    assert set(faults(monkeypatch, FLOWER_PASSWORD="Schlüssel")) == {"FLOWER_PASSWORD"}


def test_processes_that_start_together_agree_on_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loaded = load(monkeypatch)
    children = []
    for _ in range(8):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, dataclasses.replace(loaded).secret_key.encode())
            os._exit(0)
        os.close(writer)
        children.append((pid, reader))
    keys = set()
    for pid, reader in children:
        keys.add(os.read(reader, 100).decode())
        os.close(reader)
        os.waitpid(pid, 0)
    assert keys == {(tmp_path / "secret.key").read_text()}


def test_settings_of_two_threads_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    one, two = making.at_once(2, lambda _: settings.load())
    assert one == two


def test_another_speech_server_is_none_until_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(monkeypatch)
    assert (found.remote_tts_url, found.remote_tts_api_key) == ("", "")
    assert (found.remote_tts_model, found.remote_tts_sample_rate) == ("tts-1", 24000)
    told = load(monkeypatch, REMOTE_TTS_URL="http://tts.local:8880", REMOTE_TTS_SAMPLE_RATE="22050")
    assert (told.remote_tts_url, told.remote_tts_sample_rate) == ("http://tts.local:8880", 22050)
    assert set(faults(monkeypatch, REMOTE_TTS_URL="tts.local", REMOTE_TTS_SAMPLE_RATE="1")) == {
        *("REMOTE_TTS_URL", "REMOTE_TTS_SAMPLE_RATE"),
    }
