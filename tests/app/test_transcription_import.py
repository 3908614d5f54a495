"""Sound that is sent to be transcribed: every usual format becomes a task, and what is wrong is named."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient

from models.db import Database
from models.transcription.tables import Task
from tests import transcribing
from workers.audio.clip import Clip

pytestmark = pytest.mark.usefixtures("worker")
URL = "/api/transcription/import"


def zipped(**files: bytes) -> bytes:
    """A zip; ``__`` in a name is a point."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return content.getvalue()


def send(client: FlaskClient, admin: dict[str, str], *files: tuple[str, bytes], manifest: Any = None) -> Any:
    """The answer to an import."""
    form: dict[str, Any] = {"file": [(io.BytesIO(content), name) for name, content in files]}
    if manifest is not None:
        form["manifest"] = manifest if isinstance(manifest, str) else json.dumps(manifest)
    return client.post(URL, data=form, headers=admin, content_type="multipart/form-data")


def made(database: Database, ids: list[int]) -> list[Task]:
    with database.transaction() as session:
        return [session.get_one(Task, task_id) for task_id in ids]


def encoded(name: str) -> bytes:
    """A second of sound in a format, by PyAV."""
    import av

    content = io.BytesIO()
    codec = {"amr": "libopencore_amrnb", "webm": "libopus", "m4a": "aac", "wma": "wmav2"}[name]
    rate = {"amr": 8000, "webm": 48000}.get(name, 44100)
    muxer = {"m4a": "ipod", "wma": "asf"}.get(name, name)
    try:
        with av.open(content, "w", format=muxer) as file:
            stream = file.add_stream(codec, rate=rate, layout="mono")
            samples = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate = rate
            resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.codec_context.frame_size)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                file.mux(stream.encode(part))
            file.mux(stream.encode(None))
    except (av.FFmpegError, ValueError):
        pytest.skip(f"no encoder for {name} here")
    return content.getvalue()


def test_a_zip_becomes_tasks_with_what_its_manifest_says(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    manifest = [
        {"file": "a.wav", "language": "en", "text": "a draft"},
        {"file": "b.wav", "text": "what is right", "gold": True, "duration": 99},
    ]
    archive = zipped(
        a__wav=transcribing.tone(2.5),
        b__wav=transcribing.tone(1.0),
        c__wav=transcribing.tone(0.5),
        README__txt=b"no sound",
        manifest__json=json.dumps(manifest).encode(),
    )
    answer = send(client, admin, ("takes.zip", archive))
    assert answer.status_code == 201, answer.text
    assert answer.get_json()["passed_over"] == ["README.txt"]
    first, second, third = made(database, answer.get_json()["task_ids"])
    assert (first.file_name, first.language, first.draft, first.gold_text) == ("a.wav", "en", "a draft", None)
    # What a file lasts is measured, whatever is said.
    assert [float(each.duration_seconds or 0) for each in (first, second, third)] == [2.5, 1.0, 0.5]
    assert (second.gold_text, second.draft) == ("what is right", None)
    assert (third.state, third.source, third.slots) == ("open", "built_in", 1)
    assert first.peaks
    assert len(first.peaks) <= 400
    assert max(first.peaks) == 100
    assert first.peaks[0] < first.peaks[-1]


def test_files_are_sent_beside_each_other_with_a_manifest(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    files = [("one.wav", transcribing.tone(1.0)), ("two.wav", transcribing.tone(2.0))]
    answer = send(client, admin, *files, manifest=[{"file": "two.wav", "language": "de"}])
    assert answer.status_code == 201, answer.text
    found = made(database, answer.get_json()["task_ids"])
    assert [(each.file_name, each.language) for each in found] == [("one.wav", None), ("two.wav", "de")]


@pytest.mark.parametrize("name", ["m4a", "webm", "amr", "wma"])
def test_what_browsers_do_not_play_is_kept_as_flac(
    client: FlaskClient, admin: dict[str, str], database: Database, name: str
) -> None:
    answer = send(client, admin, (f"call.{name}", encoded(name)))
    assert answer.status_code == 201, answer.text
    (task,) = made(database, answer.get_json()["task_ids"])
    assert task.media_type == ("audio/mp4" if name == "m4a" else "audio/flac")
    assert float(task.duration_seconds or 0) == pytest.approx(1.0, abs=0.15)
    files = client.application.extensions["voiceworks"].files
    assert task.file
    if name != "m4a":
        sound, rate = soundfile.read(files.path(task.file))
        assert len(sound) / rate == pytest.approx(float(task.duration_seconds or 0), abs=0.01)
        assert np.abs(sound).max() > 0.5


def test_a_telephones_wav_is_kept_as_flac(client: FlaskClient, admin: dict[str, str], database: Database) -> None:
    content = io.BytesIO()
    soundfile.write(content, np.sin(np.arange(8000) / 5) / 2, 8000, format="WAV", subtype="ULAW")
    answer = send(client, admin, ("call.wav", content.getvalue()))
    (task,) = made(database, answer.get_json()["task_ids"])
    assert (task.media_type, float(task.duration_seconds or 0)) == ("audio/flac", 1.0)


def test_a_zip_of_a_folder_has_its_manifest_in_the_folder(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    manifest = json.dumps([{"file": "a.wav", "text": "right", "gold": True, "draft": "write"}])
    archive = zipped(**{"takes/a__wav": transcribing.tone(0.5), "takes/manifest__json": manifest.encode()})
    answer = send(client, admin, ("takes.zip", archive))
    (task,) = made(database, answer.get_json()["task_ids"])
    assert (task.file_name, task.gold_text, task.draft) == ("a.wav", "right", "write")


def test_a_name_that_no_header_can_carry_is_made_one_that_can(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    answer = send(client, admin, ("takes.zip", zipped(**{"x\r\ny\x01__wav": transcribing.tone(0.5)})))
    (task_id,) = answer.get_json()["task_ids"]
    assert made(database, [task_id])[0].file_name == "x__y_.wav"
    given = client.post("/api/tasks/request", json={"agent_id": 1}, headers=admin).get_json()
    assert client.get(f"/api/audio/stream/{given['task_id']}/1", headers=admin).status_code == 200


def test_a_sound_of_any_name_is_taken_where_it_is_sent_by_itself(
    client: FlaskClient, admin: dict[str, str], database: Database
) -> None:
    answer = send(client, admin, ("recording", transcribing.tone(0.5)))
    assert answer.status_code == 201, answer.text


HOSTILE = {
    "nothing": ((), None, ("file",)),
    "an empty file": ((("a.wav", b""),), None, ("empty",)),
    "a text called wav": ((("a.wav", b"hello"),), None, ("a.wav", "no audio file")),
    "a text": ((("a.txt", b"hello"),), None, ("a.txt", "no audio file")),
    "a zip of texts": ((("a.zip", zipped(a__txt=b"hello")),), None, ("no sound",)),
    "one name in two zips": (
        (("a.zip", zipped(x__wav=transcribing.tone(0.5))), ("b.zip", zipped(x__wav=transcribing.tone(1.0)))),
        None,
        ("'x.wav' is sent twice",),
    ),
    "a file twice in a manifest": (
        (("a.wav", transcribing.tone(0.5)),),
        [{"file": "a.wav"}, {"file": "a.wav"}],
        ("manifest[1].file",),
    ),
    "half a character": (
        (("a.wav", transcribing.tone(0.5)),),
        '[{"file": "a.wav", "text": "\\ud800"}]',
        ("manifest[0].text",),
    ),
    "a rate that nobody has": ((("a.wav", transcribing.tone(2.0, 1)),), None, ("a rate of 1 Hz",)),
    "no bits": ((("a.wav", transcribing.tone(0.5)[:34] + b"\0\0" + transcribing.tone(0.5)[36:]),), None, ("a.wav",)),
    "a wav without sound": ((("a.wav", transcribing.tone(0.0)),), None, ("a.wav", "no sound")),
    "two of one name": ((("a.wav", b"1"), ("x/a.wav", b"2")), None, ("a.wav", "twice")),
    "a manifest of other files": ((("a.wav", transcribing.tone(0.5)),), [{"file": "b.wav"}], ("b.wav", "not among")),
    "a manifest that is no list": ((("a.wav", transcribing.tone(0.5)),), {"file": "a.wav"}, ("no list", "not a list")),
    "a manifest that is no JSON": ((("a.wav", transcribing.tone(0.5)),), "[{", ("valid JSON",)),
    "gold without a text": (
        (("a.wav", transcribing.tone(0.5)),),
        [{"file": "a.wav", "gold": True}],
        ("manifest[0].gold",),
    ),
    "a path out of the zip": ((("a.zip", zipped(**{"../../a__wav": b"x"})),), None, ("leads out",)),
    "a zip that is cut off": ((("a.zip", zipped(a__wav=transcribing.tone(1.0))[:200]),), None, ("damaged",)),
    "one bad file among good ones": (
        (("a.wav", transcribing.tone(0.5)), ("b.wav", b"RIFFnothing")),
        None,
        ("b.wav",),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_wrong_is_named_and_nothing_is_kept(
    client: FlaskClient, admin: dict[str, str], database: Database, name: str
) -> None:
    files, manifest, words = HOSTILE[name]
    answer = send(client, admin, *files, manifest=manifest)
    assert answer.status_code == 400, answer.text
    assert list(answer.get_json()) == ["detail"]
    assert any(word in answer.get_json()["detail"] for word in words), answer.text
    with database.transaction() as session:
        assert session.query(Task).count() == 0


def test_where_label_studio_has_the_tasks_nothing_is_imported_here(
    client: FlaskClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.api import transcription_tasks

    monkeypatch.setattr(transcription_tasks, "source", lambda: "label_studio")
    answer = send(client, admin, ("a.wav", transcribing.tone(0.5)))
    assert answer.status_code == 409
    assert "LABEL_STUDIO_URL" in answer.get_json()["detail"]


def test_silence_has_an_outline_too() -> None:
    from workers.transcripts import sound

    assert set(sound._outline(sound._heights(Clip(np.zeros(8000, np.float32), 8000).samples, 160))) == {0}
