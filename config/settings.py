"""Settings, read once from the environment and frozen; every fault is reported at once.

A new one is one field here: ``docs/configuration.md`` is written from it (``python -m config.reference``).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError, ValidationError

from config import embedded
from config.variables import (
    Network,
    Variable,
    choice,
    decimal,
    folders,
    hosts,
    made,
    money,
    networks,
    number,
    origins,
    ports,
    rates,
    secret,
    setting_of,
    several,
    switch,
    text,
    url,
)

__all__ = ["RATE_LIMITS", "SURFACES", "Network", "Settings", "SettingsError", "load"]

# Requests a minute where nothing else is set; the documents' own figures.
RATE_LIMITS = {"management": 100, "auth": 10, "tts": 60, "administration": 120, "cleanup": 6}
_RATE_LIMITS_ABOUT = {
    "management": "Requests a minute from one address to the management routes.",
    "auth": "Requests a minute from one address to sign in and the like.",
    "tts": "Requests a minute from one address for speech that has to be made.",
    "administration": "Requests a minute with one credential to the administration routes.",
    "cleanup": "Requests a minute with one credential to clean up.",
}
SURFACES = ("management", "gateway", "administration", "wakewords", "transcription")
_REDIS = ("redis", "rediss", "unix")
_HTTP = ("http", "https")


class SettingsError(ValueError):
    """The environment holds values that cannot be used; the text has one line for each."""


def _folder(said: str) -> Path:
    # Absolute: workers are started from other folders than the one the operator stood in.
    return Path(said).expanduser().resolve()


def _location(said: str) -> str:
    return f"/{said.strip('/')}/" if said.strip("/") else ""


def _inside(said: str) -> None:
    if ".." in said.split("/"):
        raise ValidationError(f"{said!r} leads out of itself (..)")


def _on(said: str) -> bool:
    return said == "on"


def _with_driver(said: str) -> str:
    return said.replace("postgresql://", "postgresql+psycopg://", 1) if said.startswith("postgresql://") else said


@dataclass(frozen=True)
class Settings:
    """What an operator may choose. Each field is the environment variable of the same name, upper case."""

    # --- Where things are kept ---------------------------------------------------------------------------------------

    var_dir: Path = field(
        metadata=made(
            text("var", "The folder of everything that is kept: audio, logs, keys, embedded servers.", kind="folder"),
            _folder,
        )
    )
    database_url: str = field(
        metadata=made(
            url(
                ("postgresql", "postgresql+psycopg"),
                "The PostgreSQL database. Without one, a server of our own runs under `VAR_DIR`.",
                shown="embedded",
            ),
            _with_driver,
        )
    )
    redis_url: str = field(
        metadata=url(
            _REDIS,
            "The Redis or Valkey server of the queue, with its log on. Without one, ours runs under `VAR_DIR`.",
            shown="embedded",
        )
    )
    stream_redis_url: str = field(
        metadata=url(
            _REDIS,
            "The Redis or Valkey server of sound on its way to listeners and of rate limits; it needs no log.",
            shown="`REDIS_URL`, else embedded",
        )
    )
    embedded_postgres: bool  # where DATABASE_URL says nothing
    embedded_redis: bool  # where REDIS_URL says nothing

    # --- Web ---------------------------------------------------------------------------------------------------------

    host: str = field(
        metadata=text("127.0.0.1", "The address to listen on; `0.0.0.0` or `::` for every one.", kind="address")
    )
    ports: tuple[int, ...] = field(
        metadata=ports(
            "8766",
            "The ports of the API. 8766, 8002, 7860, 8000 and 8010 answer unknown paths in the manner of their "
            "documents; every port serves every route.",
        )
    )
    # Two processes keep one core each busy at most, and answer 1.5 times what one does (docs/architecture.md).
    web_processes: int = field(metadata=number(2, "Processes that answer requests and hold sockets."))
    # Of each web process, which takes 3000 connections in all (config/gunicorn.py).
    sockets_max: int = field(metadata=number(2500, "Websockets of each web process; beyond it they are refused."))
    sockets_max_per_account: int = field(
        metadata=number(1250, "Websockets of each web process that one account may open; the others are for others.")
    )
    trusted_proxies: tuple[Network, ...] = field(
        metadata=networks("Proxies in front of us, whose `X-Forwarded-For` is believed.")
    )
    x_accel_prefix: str = field(
        metadata=made(
            text(
                "",
                "Where nginx has `VAR_DIR/files` as an internal location, such as `/stored/`: it then sends stored "
                "files itself (`deploy/nginx`). Whoever comes past it gets them from us.",
                kind="path",
                check=_inside,
            ),
            _location,
        )
    )
    # The two web applications of the management document.
    cors_origins: tuple[str, ...] = field(
        metadata=origins(
            "http://localhost:3000,http://localhost:3001",
            "Web pages that may use the management routes from a browser. Empty: none but our own.",
        )
    )
    max_upload_mb: int = field(metadata=number(100, "Megabytes of one uploaded file."))
    rate_limits: bool = field(
        metadata=choice("on", ("on", "off"), "Whether requests are counted; `off` is for load tests.", made=_on)
    )
    # By the name under which routes count (app/http/limits.py).
    rate_limit_by_name: dict[str, int] = field(hash=False, metadata=rates(RATE_LIMITS, _RATE_LIMITS_ABOUT))

    # --- Who may come in ---------------------------------------------------------------------------------------------

    open_surfaces: frozenset[str] = field(
        metadata=several(SURFACES, "Surfaces that ask for no credential, for a network you trust. Said at every start.")
    )
    voiceworks_admin_password: str | None = field(
        metadata=secret("The password that `admin` is made with at the first start.", shown="made and shown once")
    )
    voiceworks_api_key: str | None = field(metadata=secret("An API key that always works, as an administrator's."))
    metrics_token: str | None = field(
        metadata=secret("Opens `/metrics`, and nothing else, to Prometheus: as its bearer token.")
    )
    configured_secret_key: str | None = field(
        metadata=secret(
            "Signs tokens and addresses. The same on every machine that shares a database.",
            name="SECRET_KEY",
            shown="`VAR_DIR/secret.key`, made once",
        )
    )
    access_token_seconds: int = field(metadata=number(3600, "How long an access token is good."))
    refresh_token_seconds: int = field(metadata=number(30 * 86400, "How long a refresh token is good."))

    # --- Speech ------------------------------------------------------------------------------------------------------

    speech_cache_max_bytes: int = field(
        metadata=number(2 * 1024**3, "Bytes of spoken audio kept; beyond it, what was heard longest ago goes.")
    )
    speech_cache_ttl_days: int = field(metadata=number(30, "Days that spoken audio is kept after it was last heard."))
    # A live request that could not be answered within a minute is better refused at once.
    live_waiting_max: int = field(
        metadata=number(256, "Live requests that may wait at once; further ones are refused.")
    )
    live_waiting_share: int = field(metadata=number(128, "How many of them may be of one credential."))
    live_wait_seconds: int = field(metadata=number(120, "How long a live request waits for its speech."))
    # Any server with OpenAI's speech API.
    remote_tts_url: str = field(metadata=url(_HTTP, "Another speech server with OpenAI's API, as a further engine."))
    remote_tts_api_key: str = field(metadata=text("", "The key of that server.", kind="text, kept secret"))
    remote_tts_model: str = field(metadata=text("tts-1", "The model to ask it for."))
    # Its sound is 16-bit PCM at this rate, which such an answer does not tell.
    remote_tts_sample_rate: int = field(metadata=number(24000, "The rate of its sound, in Hz.", low=8000, high=192000))

    # --- Cleaning up -------------------------------------------------------------------------------------------------

    cleanup_interval_hours: int = field(
        metadata=number(5, "Hours from one cleanup to the next; 0: none but those asked for.", low=0, high=8760)
    )
    cleanup_on_startup: bool = field(metadata=switch(True, "Whether everything is cleaned up when the clock starts."))
    job_retention_days: int = field(
        metadata=number(30, "Days that jobs are kept after their end; deployments are kept until removed.", high=36500)
    )
    metric_retention_days: int = field(metadata=number(400, "Days that the hourly figures are kept.", high=36500))

    # --- Imports -----------------------------------------------------------------------------------------------------

    mit_ocw_url: str = field(
        metadata=url(_HTTP, "Where MIT OpenCourseWare is, or a copy of it.", default="https://ocw.mit.edu")
    )
    import_allow_private: bool = field(
        metadata=switch(False, "Whether courses may be fetched from addresses of private networks.")
    )
    # The largest archives of MIT OpenCourseWare, which hold their recordings' transcripts and slides.
    import_max_download_mb: int = field(metadata=number(500, "Megabytes that are fetched of one file of a source."))
    # What a patient reader asks for.
    import_pause_seconds: float = field(
        metadata=decimal(1.0, "The pause between two requests to one server.", low=0, high=60)
    )

    # --- Wake words --------------------------------------------------------------------------------------------------

    wakeword_folders: tuple[Path, ...] = field(
        metadata=folders(
            "Folders of sound in which nobody says a wake word: the negative cache is built from them, too."
        )
    )
    ast_folder: str = field(
        metadata=text(
            "",
            "The folder of an Audio Spectrogram Transformer that trainings of model type `ast` use; without it `ast` "
            "is `embedding`.",
            kind="folder",
        )
    )

    # --- Transcription -----------------------------------------------------------------------------------------------

    tz_system_api_key: str | None = field(
        metadata=secret("A key that acts as every transcriber, as an operator's; each has one of their own beside it.")
    )
    transcription_rate_per_second: Decimal = field(
        metadata=money("0.05", "What a second of transcribed sound earns, in your currency.")
    )
    transcription_park_after: int = field(
        metadata=number(3, "After so many transcribers have skipped a task it is put aside.", high=1000)
    )
    transcription_double_percent: int = field(
        metadata=number(0, "How many of a hundred tasks two people transcribe, each alone.", low=0, high=100)
    )
    transcription_gold_percent: int = field(
        metadata=number(0, "How many of a hundred tasks given out are ones whose text is known.", low=0, high=100)
    )
    transcription_drafts: bool = field(
        metadata=switch(False, "Whether a recogniser writes drafts of English sound for transcribers (`make listen`).")
    )
    label_studio_url: str = field(
        metadata=url(_HTTP, "The Label Studio whose tasks are transcribed; without one, those that are imported here.")
    )
    label_studio_api_key: str | None = field(
        metadata=secret("A legacy token or a personal access token of Label Studio.")
    )
    label_studio_project_id: int = field(metadata=number(1, "Which of its projects."))
    label_studio_webhook_secret: str | None = field(
        metadata=secret(
            "What Label Studio's webhook sends as `X-Voiceworks-Secret`; without it webhooks are refused and tasks "
            "are found by polling alone."
        )
    )

    # --- Gateway -----------------------------------------------------------------------------------------------------

    service_networks: tuple[Network, ...] = field(
        metadata=networks(
            "Where outside services may be. Clouds' metadata services are never asked, whatever stands here.",
            shown="this machine and private networks, and public servers by a name",
        )
    )
    mcp_port: int = field(metadata=number(8767, "The port of the MCP endpoint, `/mcp`.", high=65535))
    mcp_hosts: tuple[str, ...] = field(
        metadata=hosts(
            "The names (with a port, or `:*` for any) by which MCP clients reach us beside this machine's own: a "
            "request that names another host is refused, since a web page may have led it here."
        )
    )
    tool_history_days: int = field(metadata=number(30, "Days that it is kept which tools were called.", high=3650))

    # --- Fine-tuning -------------------------------------------------------------------------------------------------

    llm_models: Path | None = field(
        metadata=made(
            text("", "A folder of base models: `name` or `owner/name`, as model hubs lay them out.", kind="folder"),
            lambda said: _folder(said) if said else None,
        )
    )
    llm_downloads: bool = field(
        metadata=switch(False, "Whether base models that are not there are fetched from their hub into `LLM_MODELS`.")
    )

    # --- Webhooks ----------------------------------------------------------------------------------------------------

    voiceworks_webhook_secret: str | None = field(
        metadata=secret("Signs every message to a `callback_url`.", shown="each account's own")
    )
    webhook_allow_private: bool = field(
        metadata=switch(False, "Whether a `callback_url` may be on this machine or in a private network.")
    )

    # --- Watching ----------------------------------------------------------------------------------------------------

    flower_port: int = field(metadata=number(5555, "The port of Flower, which shows the workers.", high=65535))
    flower_url: str = field(
        metadata=url(
            _HTTP,
            "Where people reach Flower, as the page at `/` names it.",
            shown="`FLOWER_PORT` of the host they came by",
        )
    )
    configured_flower_password: str | None = field(
        metadata=secret(
            "What Flower asks of the user `admin`; plain letters, digits and signs (ASCII).",
            name="FLOWER_PASSWORD",
            shown="`VAR_DIR/flower.password`, made once",
            # Browsers do not agree on how to send others.
            plain=True,
        )
    )
    log_level: str = field(
        metadata=choice("INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), "The least that a line must be to be written.")
    )
    log_format: str = field(metadata=choice("json", ("json", "pretty"), "One JSON object a line, or lines for people."))
    error_retention_days: int = field(
        metadata=number(30, "Days that errors are kept; of more than a million rows the oldest go before.", high=3650)
    )
    audit_retention_days: int = field(metadata=number(90, "Days that it is kept what administrators did.", high=36500))

    @cached_property
    def secret_key(self) -> str:
        """The key that signs tokens: ``SECRET_KEY``, else ``var/secret.key``, made once, its owner's alone."""
        return self.configured_secret_key or _made_once(self.var_dir / "secret.key", secrets.token_hex(32))

    @property
    def flower_password_path(self) -> Path:
        """Where Flower's password is kept that nobody chose."""
        return self.var_dir / "flower.password"

    @cached_property
    def flower_password(self) -> str:
        """What Flower asks for: ``FLOWER_PASSWORD``, else ``var/flower.password``, made once, its owner's alone."""
        return self.configured_flower_password or _made_once(self.flower_password_path, secrets.token_urlsafe(18))


def _made_once(path: Path, fresh_text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes start together: each prepares a text, and the one whose link lands first decides for all.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(fresh_text)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()


def variables() -> Iterator[tuple[str, Variable]]:
    """Every variable that is read, by name, in the order of the fields."""
    for each in fields(Settings):
        if setting := setting_of(each):
            yield from setting.named(each.name).items()


def load() -> Settings:
    """The settings of this process's environment.

    Raises:
        SettingsError: naming every value that cannot be used.
    """
    env = Env(eager=False)
    settings = {each.name: setting for each in fields(Settings) if (setting := setting_of(each))}
    said = {name: setting.read(env, name) for name, setting in settings.items()}
    if faults := [*_faults(env), *_clashes(said)]:
        raise SettingsError("\n".join(faults))
    values: dict[str, Any] = {name: settings[name].made(value) for name, value in said.items()}
    var_dir, database_url, redis_url = values["var_dir"], values["database_url"], values["redis_url"]
    values |= {
        "database_url": database_url or embedded.postgres_url(var_dir),
        "redis_url": redis_url or embedded.valkey_url(var_dir, "queue"),
        # One server serves both unless another is named.
        "stream_redis_url": values["stream_redis_url"] or redis_url or embedded.valkey_url(var_dir, "stream"),
        "embedded_postgres": not database_url,
        "embedded_redis": not redis_url,
    }
    return Settings(**values)


def _clashes(said: dict[str, Any]) -> list[str]:
    """A line for each variable that is good alone, but not beside another."""
    if said["metrics_token"] and said["metrics_token"] == said["voiceworks_api_key"]:
        return ["METRICS_TOKEN: it is VOICEWORKS_API_KEY, which opens everything; choose another."]
    if said["label_studio_url"] and not said["label_studio_api_key"]:
        return ["LABEL_STUDIO_API_KEY: it is needed where LABEL_STUDIO_URL is set."]
    return []


def _faults(env: Env) -> list[str]:
    """A line for each variable that could not be read."""
    try:
        env.seal()
    except EnvValidationError as fault:
        messages: Any = fault.error_messages
        return [f"{name}: {' '.join(map(str, texts))}" for name, texts in messages.items()]
    return []
