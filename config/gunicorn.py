"""gunicorn's settings: cooperative workers, so that thousands of sockets and waiting requests share two processes."""

from config import settings

_settings = settings.load()

bind = [f"{_settings.host}:{port}" for port in _settings.ports]
workers = _settings.web_processes
worker_class = "gevent"
# Waiting requests and sockets, each a greenlet; beyond it connections wait in the kernel.
worker_connections = 3000
# A worker that does not answer its master for so long is stuck, not slow.
timeout = 60
# Longer than the longest live answer that may be in flight at a stop.
graceful_timeout = 10
keepalive = 30
accesslog = None
errorlog = "-"
loglevel = _settings.log_level.lower()
# The app is loaded in each worker, after gevent has patched the standard library.
preload_app = False


def post_worker_init(worker: object) -> None:
    """Starts the hub, so that the first socket or miss finds it listening."""
    worker.wsgi.extensions["voiceworks"].hub.start()  # type: ignore[attr-defined]
