"""local-tts-studio: OpenAI's speech API over piper, which loads its voice with the first request."""

from __future__ import annotations

import json
import shutil
from http.client import HTTPConnection

from bench.peers.server import VOICE, Peer, voices_of_peers
from bench.speakers import HttpSpeaker, Speaker


class LocalTtsStudio(Peer):
    """``local-tts``."""

    name = "local_tts_studio"

    def arguments(self) -> list[str]:
        """Of its interpreter."""
        voices = self.folder / "voices"
        voices.mkdir()
        for ending in ("onnx", "onnx.json"):
            shutil.copy(voices_of_peers() / f"{VOICE}.{ending}", voices)
        return ["-m", "local_tts.cli", "--host", "127.0.0.1", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        """Where its voices and settings are."""
        return {"LOCAL_TTS_DATA_DIR": str(self.folder)}

    def prepare(self) -> None:
        """Names the voice that its API speaks with."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"default_voice": VOICE})
        connection.request("POST", "/api/openai/speech-defaults", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())

    def speaker(self) -> Speaker:
        """A client with a connection of its own."""
        return HttpSpeaker(
            self.port, "/v1/audio/speech", lambda text: {"input": text, "response_format": "wav"}, asks="/api/health"
        )
