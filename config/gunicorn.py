"""gunicorn's settings: cooperative workers, so that thousands of sockets and waiting requests share two processes."""

from gevent import monkey

# Before anything else is imported: the app is loaded once, here, and the workers are forked from it.
monkey.patch_all()

from config import settings  # noqa: E402

_settings = settings.load()

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


def post_worker_init(worker: object) -> None:
    """Starts the hub, so that the first socket or miss finds it listening, and shows what is logged from here on."""
    worker.wsgi.extensions["log_stream"].install()  # type: ignore[attr-defined]
    # The only trace of a stop in a worker that still has connections.
    worker.wsgi.extensions["voiceworks"].hub.start(alive=lambda: worker.alive)  # type: ignore[attr-defined]


def worker_exit(server: object, worker: object) -> None:
    """Tells the other web processes that the sockets of this one are closed."""
    worker.wsgi.extensions["voiceworks"].hub.stop()  # type: ignore[attr-defined]
