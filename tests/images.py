"""Images as the world makes them: by real encoders, and small ones by hand."""

from __future__ import annotations

import io
import struct
import zlib

import av
import numpy as np

SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle r="1"/></svg>'
# Format, codec and pixels, by what the world calls what they give.
_ENCODERS = {
    "image/png": ("image2pipe", "png", "rgb24"),
    "image/jpeg": ("image2pipe", "mjpeg", "yuvj420p"),
    "image/gif": ("gif", "gif", "rgb8"),
    "image/webp": ("webp", "libwebp", "yuv420p"),
    "image/avif": ("avif", "libsvtav1", "yuv420p"),
    "image/bmp": ("image2pipe", "bmp", "bgr24"),
}
ENCODED = tuple(_ENCODERS)


def encoded(media_type: str) -> bytes:
    """A black square of 64 pixels."""
    form, codec, pixels = _ENCODERS[media_type]
    made = io.BytesIO()
    with av.open(made, "w", format=form) as container:
        stream = container.add_stream(codec, rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = pixels
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").reformat(format=pixels)
        container.mux([*stream.encode(frame), *stream.encode()])
    return made.getvalue()


def png(grey: int, *, size_bytes: int = 0) -> bytes:
    """A PNG of one pixel, with a comment that makes it so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head, pixel = (
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(bytes([0, grey]))),
    )
    end = chunk(b"IEND", b"")
    bare = b"\x89PNG\r\n\x1a\n" + head + pixel
    filling = chunk(b"tEXt", bytes(size_bytes - len(bare) - len(end) - 12)) if size_bytes else b""
    return bare + filling + end
