"""What a finished deployment holds, in order: for its manifest, its captions and its bundle (``app.bundles``)."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app import captions
from app.http.offload import offload
from models import deployments, speech_clips, speech_renditions
from models.base import iso
from models.db import Database
from models.deployment_plans import VoiceConfig
from models.errors import Conflict, NotFound
from models.jobs.tables import SUCCEEDED, Job
from models.speech_renditions import Form, Found

# Of titles in paths: with the rest well within what any system allows.
_NAME_CHARACTERS = 40
CAPTION_FORMATS = ("srt", "vtt")


@dataclass(frozen=True)
class File:
    """A spoken segment of a deployment and where it lies in the bundle."""

    path: str
    folder: str
    topic_path: str
    place: dict[str, Any]
    found: Found


@dataclass(frozen=True)
class Voice:
    """One voice of a deployment; ``folder`` is its name in the bundle, of which each has its own."""

    folder: str
    config: VoiceConfig
    job: Job

    @property
    def shown(self) -> dict[str, Any]:
        """For the manifest."""
        spoken = {name: self.job.resolution.get(name) for name in ("engine", "fallback")}
        return {"folder": self.folder} | vars(self.config) | spoken


@dataclass(frozen=True)
class Contents:
    """All that a deployment made, in order, and what it could not make."""

    job: Job
    voices: list[Voice]
    files: list[File]
    missing: list[dict[str, Any]]


def require_finished(job: Job) -> None:
    """Refuses one that is not.

    Raises:
        Conflict: naming its status.
    """
    if job.state != SUCCEEDED:
        raise Conflict(
            f"Deployment {job.id} is {deployments.status(job)}; it can be had once it is completed.", state=job.state
        )


def voices(session: Session, job: Job) -> list[Voice]:
    """The voices of a deployment as it was planned."""
    found: list[Voice] = []
    for child in deployments.children(session, job.id):
        config = VoiceConfig(**child.params["voice_config"])
        name = slug(config.voice_id, "voice")
        taken = {each.folder for each in found}
        names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
        found.append(Voice(next(each for each in names if each not in taken), config, child))
    return found


def contents(session: Session, job: Job) -> Contents:
    """What a finished deployment holds.

    Raises:
        Conflict: it is not finished, or a clip of it is gone.
    """
    require_finished(job)
    topics = job.params["topics"]
    files: list[File] = []
    missing: list[dict[str, Any]] = []
    spoken = voices(session, job)
    for voice in spoken:
        form = Form(voice.config.format)
        folders = [
            f"{voice.folder}/{_numbered(index, 2, len(topics))}-{slug(topic['title'])}"
            for index, topic in enumerate(topics)
        ]
        for some in deployments.made(session, voice.job.id):
            there = speech_renditions.find_all(session, {each.result["clip"] for each in some if each.result}, form)
            for each in some:
                folder = folders[each.place["topic_index"]]
                path = f"{folder}/{_numbered(each.place['segment_index'], 3, voice.job.items_total)}.{form.format}"
                if each.result is None:
                    about = {"path": path, "voice_id": voice.config.voice_id}
                    missing.append(about | each.place | {"error": each.error})
                elif each.result["clip"] not in there:
                    raise gone(path, each.result["clip"])
                else:
                    files.append(File(path, voice.folder, folder, each.place, there[each.result["clip"]]))
    return Contents(job, spoken, files, missing)


def gone(path: str, key: str) -> Conflict:
    """What is said where a file was removed by hand."""
    return Conflict(f"{path} is gone (clip {key}); a new deployment of the same course makes it again.", clip=key)


def manifest(held: Contents) -> dict[str, Any]:
    """What the bundle holds: every file with its place, hash and length, every caption, and what is missing."""
    job = held.job
    voice_ids = {voice.folder: voice.config.voice_id for voice in held.voices}
    files = [_file(file, voice_ids[file.folder]) for file in held.files]
    return {
        "deployment_id": job.id,
        "curriculum_id": job.params["curriculum_id"],
        "title": job.params.get("title") or job.params["course_title"],
        "generated_at": iso(job.finished_at),
        "voices": [voice.shown for voice in held.voices],
        "topics": job.params["topics"],
        "files": files,
        "captions": [_caption(job.id, file, voice_ids[file.folder], name) for file, name in _captioned(held.files)],
        "missing": held.missing,
        "totals": {
            "files": len(files),
            "missing": len(held.missing),
            "size_bytes": sum(file["size_bytes"] for file in files),
            "duration_seconds": round(sum(file["duration_seconds"] for file in files), 3),
        },
    }


def as_json(told: dict[str, Any]) -> bytes:
    """The manifest as it lies in the bundle."""
    return json.dumps(told, ensure_ascii=False, indent=1).encode()


def spoken_in(database: Database, keys: Sequence[str]) -> captions.Track:
    """What is said in these clips, one after the other.

    Raises:
        NotFound: one of them is gone.
    """
    with database.reading() as session:
        found = {clip.key: clip for clip in speech_clips.all_ready(session, set(keys))}
    lost = next((key for key in keys if key not in found), None)
    if lost is not None:
        raise NotFound(f"Clip {lost} is gone; a new deployment of the same course makes it again.")
    return offload(captions.track, [found[key] for key in keys])


def slug(name: str, otherwise: str = "topic") -> str:
    """A name as every system takes it in a path: small letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_NAME_CHARACTERS].strip("-") or otherwise


def _numbered(index: int, digits: int, count: int) -> str:
    return f"{index + 1:0{max(digits, len(str(count)))}d}"


def _file(file: File, voice_id: str) -> dict[str, Any]:
    found = file.found
    return {
        "path": file.path,
        "voice_id": voice_id,
        **file.place,
        "format": found.form.format,
        # Files are kept by the hash of what is in them.
        "sha256": found.file,
        "size_bytes": found.size_bytes,
        "duration_seconds": round(found.duration_seconds, 3),
        "sample_rate_hz": found.sample_rate_hz,
        "clip": found.clip_key,
        "url": f"/api/speech/{found.clip_key}.{found.form.format}",
    }


def _captioned(files: Sequence[File]) -> list[tuple[File, str]]:
    return [(topic[0], name) for topic in by_topic(files) for name in CAPTION_FORMATS]


def _caption(job_id: str, file: File, voice_id: str, name: str) -> dict[str, Any]:
    asked = {"format": name, "voice_id": file.folder, "topic_id": file.place["topic_id"]}
    return {
        "path": f"{file.topic_path}/captions.{name}",
        "voice_id": voice_id,
        "topic_id": file.place["topic_id"],
        "topic_index": file.place["topic_index"],
        "format": name,
        "url": f"/api/deployments/{job_id}/captions?{urlencode(asked)}",
    }


def by_topic(files: Sequence[File]) -> list[list[File]]:
    """The files of each topic and voice, in order."""
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(file.topic_path, []).append(file)
    return list(found.values())
