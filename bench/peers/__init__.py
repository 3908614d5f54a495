"""Other speech servers, each started as its own package starts it, in an environment apart (``make bench``)."""

from bench.peers.http_server import HttpServer
from bench.peers.local_tts_studio import LocalTtsStudio
from bench.peers.server import Peer
from bench.peers.wyoming import Wyoming

__all__ = ["PEERS", "HttpServer", "LocalTtsStudio", "Peer", "Wyoming"]

PEERS: tuple[type[Peer], ...] = (HttpServer, Wyoming, LocalTtsStudio)
