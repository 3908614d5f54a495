"""piper's own HTTP server: Flask's development server, which loads its voice before it listens."""

from __future__ import annotations

from bench.peers.server import VOICE, Peer, voices_of_peers
from bench.speakers import HttpSpeaker, Speaker


class HttpServer(Peer):
    """``python -m piper.http_server``."""

    name = "http_server"

    def arguments(self) -> list[str]:
        """Of its interpreter."""
        model = voices_of_peers() / f"{VOICE}.onnx"
        return ["-m", "piper.http_server", "--host", "127.0.0.1", "--port", str(self.port), "-m", str(model)]

    def speaker(self) -> Speaker:
        """A client with a connection of its own."""
        return HttpSpeaker(self.port, "/synthesize", lambda text: {"text": text}, asks="/info")
