"""``python -m tasks.flower``: Flower on its own port, on loopback unless ``HOST`` says otherwise, behind a password."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import signal
import sys
from typing import Any

from flower.app import Flower
from flower.options import options
from flower.urls import settings as flower_settings
from tornado import web
from tornado.httputil import HTTPServerRequest

from config import settings
from tasks.celery_app import app as celery_app

# Enough to find what went wrong today; of more, the oldest are forgotten.
TASKS_KEPT = 10_000
USER = "admin"


class Guarded(Flower):
    """Flower that asks for a password at every address: its own option leaves ``/metrics`` and some others open."""

    def __init__(self, password: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._expected = f"{USER}:{password}".encode()

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Who answers a request: without the password, somebody who says no."""
        if self._may_come_in(request.headers.get("Authorization", "")):
            return super().find_handler(request, **kwargs)
        return self.get_handler_delegate(request, _Refusal)

    def _may_come_in(self, said: str) -> bool:
        scheme, _, credentials = said.partition(" ")
        try:
            given = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, self._expected)


class _Refusal(web.RequestHandler):
    def prepare(self) -> None:
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="Voiceworks workers", charset="UTF-8"')
        self.finish(f"This page asks for the password of {USER}: FLOWER_PASSWORD, or VAR_DIR/flower.password.\n")


def main() -> None:
    """Serves until it is told to stop."""
    configured = settings.load()
    for chatty in ("flower", "tornado"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Each refused request; it is answered, and that is enough.
    for refusing in ("tornado.access", "tornado.general"):
        logging.getLogger(refusing).setLevel(logging.ERROR)
    options.address = configured.host
    options.port = configured.flower_port
    options.max_tasks = TASKS_KEPT
    # Flower then takes requests that change something from its own pages only, and serves its API.
    options.basic_auth = [f"{USER}:{configured.flower_password}"]
    server = Guarded(configured.flower_password, capp=celery_app, options=options, **flower_settings)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server.start_http_server()
    try:
        server.start()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
