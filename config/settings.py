"""Settings, read once from the environment and frozen; every fault is reported at once."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, validate

from config import embedded

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Requests a minute where nothing else is set; the documents' own figures.
RATE_LIMITS = {"management": 100, "auth": 10, "tts": 60, "administration": 120, "cleanup": 6}
SURFACES = ("management", "gateway", "administration", "wakewords", "transcription")


class SettingsError(ValueError):
    """The environment holds values that cannot be used; the text has one line for each."""


@dataclass(frozen=True)
class Settings:
    """What an operator may choose. Each field is the environment variable of the same name, upper case."""

    var_dir: Path
    database_url: str
    redis_url: str
    stream_redis_url: str
    embedded_postgres: bool
    embedded_redis: bool
    host: str
    ports: tuple[int, ...]
    flower_port: int
    web_processes: int
    open_surfaces: frozenset[str]
    sockets_max: int
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    rate_limits: bool
    # Requests a minute, by the name under which routes count (app/http/limits.py).
    rate_limit_by_name: dict[str, int] = field(hash=False)
    voiceworks_admin_password: str | None
    voiceworks_api_key: str | None
    configured_secret_key: str | None
    access_token_seconds: int
    refresh_token_seconds: int
    speech_cache_max_bytes: int
    speech_cache_ttl_days: int
    live_waiting_max: int
    live_waiting_share: int
    live_wait_seconds: int
    max_upload_mb: int
    mit_ocw_url: str
    import_allow_private: bool
    import_max_download_mb: int
    import_pause_seconds: float
    voiceworks_webhook_secret: str | None
    webhook_allow_private: bool
    remote_tts_url: str
    remote_tts_api_key: str
    remote_tts_model: str
    remote_tts_sample_rate: int
    log_level: str

    @cached_property
    def secret_key(self) -> str:
        """The key that signs tokens: ``SECRET_KEY``, else ``var/secret.key``, made once, its owner's alone."""
        if self.configured_secret_key:
            return self.configured_secret_key
        return _own_secret_key(self.var_dir / "secret.key")


def _own_secret_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes start together: each prepares a key, and the one whose link lands first decides for all.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        SettingsError: naming every value that cannot be used.
    """
    env = Env(eager=False)
    at_least_one = validate.Range(min=1)
    # Absolute: workers are started from other folders than the one the operator stood in.
    var_dir = Path(env.str("VAR_DIR", "var") or "var").expanduser().resolve()
    database_url = env.str("DATABASE_URL", "") or ""
    redis_url = env.str("REDIS_URL", "") or ""
    remote_tts_url = env.str("REMOTE_TTS_URL", "") or ""
    mit_ocw_url = env.str("MIT_OCW_URL", "") or "https://ocw.mit.edu"
    ports = [port.strip() for port in (env.str("PORTS", "") or "8766").split(",")]
    proxies = [each.strip() for each in (env.str("TRUSTED_PROXIES", "") or "").split(",") if each.strip()]
    # The two web applications of the management document.
    default_origins = "http://localhost:3000,http://localhost:3001"
    origins = [each.strip() for each in (env.str("CORS_ORIGINS", default_origins) or "").split(",") if each.strip()]
    open_surfaces = env.list("OPEN_SURFACES", [], subcast=str, validate=validate.ContainsOnly(SURFACES))
    values: dict[str, Any] = {
        "host": env.str("HOST", "127.0.0.1"),
        "flower_port": env.int("FLOWER_PORT", 5555, validate=validate.Range(1, 65535)),
        # Two processes keep one core each busy at most, and answer 1.5 times what one does (docs/architecture.md).
        "web_processes": env.int("WEB_PROCESSES", 2, validate=at_least_one),
        # Of each web process, which takes 3000 connections in all (config/gunicorn.py).
        "sockets_max": env.int("SOCKETS_MAX", 2500, validate=at_least_one),
        "rate_limits": env.str("RATE_LIMITS", "on", validate=validate.OneOf(["on", "off"])) == "on",
        "rate_limit_by_name": {
            name: env.int(f"RATE_LIMIT_{name.upper()}", rate, validate=at_least_one)
            for name, rate in RATE_LIMITS.items()
        },
        "voiceworks_admin_password": env.str("VOICEWORKS_ADMIN_PASSWORD", None),
        "voiceworks_api_key": env.str("VOICEWORKS_API_KEY", None),
        "configured_secret_key": env.str("SECRET_KEY", None),
        "access_token_seconds": env.int("ACCESS_TOKEN_SECONDS", 3600, validate=at_least_one),
        "refresh_token_seconds": env.int("REFRESH_TOKEN_SECONDS", 30 * 86400, validate=at_least_one),
        "speech_cache_max_bytes": env.int("SPEECH_CACHE_MAX_BYTES", 2 * 1024**3, validate=at_least_one),
        "speech_cache_ttl_days": env.int("SPEECH_CACHE_TTL_DAYS", 30, validate=at_least_one),
        # A live request that could not be answered within a minute is better refused at once.
        "live_waiting_max": env.int("LIVE_WAITING_MAX", 256, validate=at_least_one),
        "live_waiting_share": env.int("LIVE_WAITING_SHARE", 128, validate=at_least_one),
        "live_wait_seconds": env.int("LIVE_WAIT_SECONDS", 120, validate=at_least_one),
        "max_upload_mb": env.int("MAX_UPLOAD_MB", 100, validate=at_least_one),
        "mit_ocw_url": mit_ocw_url,
        "import_allow_private": env.bool("IMPORT_ALLOW_PRIVATE", False),
        # The largest archives of MIT OpenCourseWare, which hold their recordings' transcripts and slides.
        "import_max_download_mb": env.int("IMPORT_MAX_DOWNLOAD_MB", 500, validate=at_least_one),
        # Between two requests to one server: what a patient reader asks for.
        "import_pause_seconds": env.float("IMPORT_PAUSE_SECONDS", 1.0, validate=validate.Range(0, 60)),
        # One key for every message; without it each account has its own.
        "voiceworks_webhook_secret": env.str("VOICEWORKS_WEBHOOK_SECRET", None),
        "webhook_allow_private": env.bool("WEBHOOK_ALLOW_PRIVATE", False),
        # Any server with OpenAI's speech API; its sound is 16-bit PCM at this rate, which such an answer does not tell.
        "remote_tts_url": remote_tts_url,
        "remote_tts_api_key": env.str("REMOTE_TTS_API_KEY", "") or "",
        "remote_tts_model": env.str("REMOTE_TTS_MODEL", "tts-1") or "tts-1",
        "remote_tts_sample_rate": env.int("REMOTE_TTS_SAMPLE_RATE", 24000, validate=validate.Range(8000, 192000)),
        "log_level": env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])),
    }
    stream_redis_url = env.str("STREAM_REDIS_URL", "") or ""
    faults = _faults(env) + [f"PORTS: {port!r} is no port from 1 to 65535" for port in ports if not _is_port(port)]
    faults += [f"TRUSTED_PROXIES: {each!r} is no address or network" for each in proxies if _network(each) is None]
    faults += [
        f"CORS_ORIGINS: {each!r} is no origin (http://host:port, or * for all)"
        for each in origins
        if each != "*" and not re.fullmatch(r"https?://[\w.-]+(:\d+)?", each)
    ]
    if database_url and not database_url.startswith(("postgresql://", "postgresql+psycopg://")):
        faults.append("DATABASE_URL: expected postgresql://…")
    faults += [
        f"{name}: expected http://… or https://…"
        for name, url in (("REMOTE_TTS_URL", remote_tts_url), ("MIT_OCW_URL", mit_ocw_url))
        if url and not url.startswith(("http://", "https://"))
    ]
    faults += [
        f"{name}: expected redis://, rediss:// or unix://…"
        for name, url in (("REDIS_URL", redis_url), ("STREAM_REDIS_URL", stream_redis_url))
        if url and not url.startswith(("redis://", "rediss://", "unix://"))
    ]
    if faults:
        raise SettingsError("\n".join(faults))
    return Settings(
        var_dir=var_dir,
        database_url=_with_driver(database_url) or embedded.postgres_url(var_dir),
        redis_url=redis_url or embedded.valkey_url(var_dir, "queue"),
        stream_redis_url=stream_redis_url or redis_url or embedded.valkey_url(var_dir, "stream"),
        embedded_postgres=not database_url,
        embedded_redis=not redis_url,
        ports=tuple(map(int, ports)),
        open_surfaces=frozenset(open_surfaces),
        cors_origins=tuple(origins),
        trusted_proxies=tuple(network for each in proxies if (network := _network(each)) is not None),
        **values,
    )


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1) if url.startswith("postgresql://") else url


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= 65535


def _faults(env: Env) -> list[str]:
    """A line for each variable that could not be read."""
    try:
        env.seal()
    except EnvValidationError as fault:
        messages: Any = fault.error_messages
        return [f"{name}: {' '.join(map(str, texts))}" for name, texts in messages.items()]
    return []
