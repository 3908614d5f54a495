"""Websockets: live news, from one Redis listener a process (``hub``) to all (``feeds``); lessons; microphones."""

# Each declares its sockets with ``feeds.socket``.
SOCKETS = ("feeds", "audio", "wakeword", "gateway")
