"""gunicorn's settings: cooperative workers, so that thousands of sockets and waiting requests share two processes."""

from gevent import monkey

# Before anything else is imported: the app is loaded once, here, and the workers are forked from it.
monkey.patch_all()

import logging  # noqa: E402
import threading  # noqa: E402
from typing import Any  # noqa: E402

import gevent.hub  # noqa: E402
from gunicorn.glogging import Logger  # noqa: E402

from config import logs, settings  # noqa: E402

_settings = settings.load()
logs.configure(_settings.log_level, _settings.log_format)
_log = logging.getLogger("gevent")


class _Logger(Logger):
    """gunicorn's own lines in the form of all others, from the first."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter(_settings.log_format))
        self.error_log.addFilter(logs.Malformed())


def _log_greenlet(_: Any, context: Any, kind: Any, value: Any, at: Any) -> None:
    _log.error("A greenlet ended by an error: %s", context, exc_info=(kind, value, at))


# It would write several lines past the log.
gevent.hub.Hub.print_exception = _log_greenlet
logger_class = _Logger

bind = [f"{_settings.host}:{port}" for port in _settings.ports]
workers = _settings.web_processes
worker_class = "gevent"
# Waiting requests and sockets, each a greenlet; beyond it connections wait in the kernel.
worker_connections = 3000
# A worker that does not answer its master for so long is stuck, not slow.
timeout = 60
# Longer than nearly every live answer in flight at a stop (its job stays, and the client may ask again). An open page
# or an idle connection takes all of it, and whoever pressed Ctrl-C waits for that.
graceful_timeout = 3
keepalive = 30
# As long an address as gunicorn takes: `GET /api/tts/cache` carries a text in it.
limit_request_line = 8190
# gevent has no real sendfile: it would send 8 KiB at a time (app/http/ranges.py reads in larger blocks).
sendfile = False
accesslog = None
errorlog = "-"
loglevel = _settings.log_level.lower()
# Half the start-up time and memory. The app opens no connection before it is asked something, so none is shared.
preload_app = True
# Reached by nobody: it is stopped and reloaded by the supervisor.
control_socket_disable = True


def pre_fork(server: object, worker: object) -> None:
    """Waits for the moment that a library's timer takes (flask-limiter's, at its start): a fork would cut it in two."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(1.0)


def post_worker_init(worker: object) -> None:
    """Starts the hub, so that the first socket or miss finds it listening, and shows what is logged from here on."""
    worker.wsgi.extensions["log_stream"].install()  # type: ignore[attr-defined]
    # The only trace of a stop in a worker that still has connections.
    worker.wsgi.extensions["voiceworks"].hub.start(alive=lambda: worker.alive)  # type: ignore[attr-defined]


def worker_exit(server: object, worker: object) -> None:
    """Tells the other web processes that the sockets of this one are closed."""
    worker.wsgi.extensions["voiceworks"].hub.stop()  # type: ignore[attr-defined]
