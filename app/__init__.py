"""How the world talks to Voiceworks: HTTP, websockets, command line; wire shapes, access, errors.

May import ``tasks.kinds``, ``tasks.submit``, ``models`` and ``config``, and of ``workers`` only its clients, its upload
reader, its detector, its table of import sources and its errors; never torch, task bodies or engines.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

# What is needed to build the application is imported in there: the command line, too, begins by importing this
# package, and `run` must not spend its first half second on Flask.
if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings


def create_app(configured: Settings | None = None) -> Flask:
    """The web application with every route; connects to nothing until it is asked something."""
    from app import docs, openapi, page
    from app.api import RESOURCES
    from app.http import cors, errors, headers, observe, paths, patience, recording
    from app.sockets import SOCKETS, feeds
    from config import settings
    from config.versions import VERSION

    configured = configured or settings.load()
    app = without_routes(configured)
    app.url_map.converters["int"] = paths.Number
    app.config.update(
        # Texts and courses; uploads have their own limit.
        MAX_CONTENT_LENGTH=16 * 2**20,
        API_TITLE="Voiceworks",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        SOCK_SERVER_OPTIONS={"ping_interval": 25, "max_message_size": 2**20},
    )
    observe.install(app)
    patience.install(app)
    recording.install(app)
    cors.install(app, configured)
    headers.install(app)
    api = openapi.make_api(app)
    # After flask-smorest, whose own handlers know one shape only.
    errors.install(app)
    # Not part of the API's description, which one of them serves.
    app.register_blueprint(page.blueprint)
    app.register_blueprint(docs.blueprint)
    for name in RESOURCES:
        api.register_blueprint(importlib.import_module(f"app.api.{name}").blueprint)
    for name in SOCKETS:
        importlib.import_module(f"app.sockets.{name}")
    feeds.sock.init_app(app)
    app.register_blueprint(feeds.blueprint)
    if configured.open_surfaces:
        app.logger.warning("No credential is needed on: %s", ", ".join(sorted(configured.open_surfaces)))
    return app


def without_routes(configured: Settings) -> Flask:
    """What every door works with: settings, connections, credentials; an application that answers nothing by itself."""
    from flask import Flask
    from flask_jwt_extended import JWTManager

    from app import figures, readiness
    from app.context import Context, Recent
    from app.http.limits import Limits
    from app.sockets.hub import Hub
    from config import logs
    from models import sessions, speech_renditions, workers
    from models.base import utc_now
    from models.counters import Counters
    from models.files import FileStore
    from models.gateway import services
    from models.log_stream import LogStream
    from models.pronunciations import Lexicon, entries
    from models.transcription import tasks as transcription_tasks
    from models.workers import EngineState
    from tasks import submit

    logs.configure(configured.log_level, configured.log_format)
    app = Flask("app", static_folder=None)
    app.config["JWT_SECRET_KEY"] = configured.secret_key
    client = submit.open_redis(configured.redis_url)
    database = submit.open_database(configured, client)
    # A listener holds one while it waits for the next piece; beyond them requests wait.
    streams = submit.open_redis(configured.stream_redis_url, connections=configured.live_waiting_max + 50)
    engines: Recent[None, Mapping[str, EngineState]] = Recent(database, lambda session, _: workers.engines(session))
    counters = Counters()
    app.extensions["voiceworks"] = Context(
        settings=configured,
        database=database,
        streams=streams,
        engines=engines,
        cached_speech=Recent(database, lambda session, _: speech_renditions.figures(session), seconds=0.0),
        state=Recent(database, lambda session, _: figures.state(session)),
        active_sessions=Recent(database, lambda session, _: sessions.active(session), seconds=0.0),
        # Half a minute, as the document says.
        transcription=Recent(
            database, lambda session, source: (transcription_tasks.counts(session, source), utc_now()), seconds=30.0
        ),
        services_healthy=Recent(database, lambda session, _: services.healthy(session)),
        label_studio=readiness.of_label_studio(configured),
        lexicons=Recent(database, lambda session, scope: Lexicon(entries(session, scope))),
        redis=client,
        files=FileStore(configured.var_dir / "files"),
        counters=counters,
        hub=Hub(client, database, counters),
        limits=Limits(app, configured),
        readiness=readiness.Readiness(database, client, streams, engines),
        started_at=time.time(),
    )
    # Installed once this is a process that serves (config/gunicorn.py).
    app.extensions["log_stream"] = LogStream(configured.redis_url)
    JWTManager(app)
    return app
