"""What goes over the wire: the documented envelope as one websocket frame, made once for all who get it.

A server's frames carry no mask, and none is compressed (``feeds`` offers no extension), so the same bytes serve every
socket.
"""

from __future__ import annotations

import json
from typing import Any

from simple_websocket import ConnectionClosed

from models.base import iso, utc_now

_FINAL_TEXT = 0x81


def frame(kind: str, data: dict[str, Any]) -> bytes:
    """The message ``{type, data, timestamp}`` as one text frame."""
    return bare({"type": kind, "data": data, "timestamp": iso(utc_now())})


def bare(message: dict[str, Any]) -> bytes:
    """A message without an envelope as one text frame."""
    text = json.dumps(message).encode()
    length = len(text)
    if length < 126:
        return bytes((_FINAL_TEXT, length)) + text
    if length < 2**16:
        return bytes((_FINAL_TEXT, 126)) + length.to_bytes(2, "big") + text
    return bytes((_FINAL_TEXT, 127)) + length.to_bytes(8, "big") + text


def of_news(news: dict[str, Any]) -> bytes:
    """News as a frame; kept with the news, since every socket of the process is given the same."""
    made: bytes | None = news.get("frame")
    if made is None:
        shown = {name: value for name, value in news.items() if name not in ("name", "account_id", "result", "frame")}
        made = news["frame"] = frame(news["name"], shown)
    return made


def send(ws: Any, *frames: bytes) -> None:
    """Sends frames in one go.

    Raises:
        ConnectionClosed: the client is gone.
    """
    if not ws.connected:
        raise ConnectionClosed(ws.close_reason, ws.close_message)
    ws.sock.send(frames[0] if len(frames) == 1 else b"".join(frames))
