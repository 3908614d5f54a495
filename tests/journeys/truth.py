"""What must be true in the end, whatever happened: asked of Postgres and of the files, never of the API."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import soundfile

from models.speech_clips import ClipSpec
from tests.journeys.product import Voiceworks


def check_course(product: Voiceworks, job_id: str, texts: Sequence[str]) -> None:
    """The job is done, and every text of it was made exactly once and can be heard."""
    job = product.rows("select * from jobs where id = :job", job=job_id)[0]
    counts = (job.state, job.progress, job.items_total, job.items_succeeded, job.items_failed)
    assert counts == ("succeeded", 1.0, len(texts), len(texts), 0)
    items = product.rows("select * from job_items where job_id = :job order by position", job=job_id)
    assert [item.state for item in items] == ["succeeded"] * len(texts)
    assert [item.params["clip"]["text"] for item in items] == list(texts)
    for item in items:
        assert item.result["clip"] == ClipSpec(**item.params["clip"]).key
        assert (item.token, item.lease_node, item.lease_until, item.error_code) == (None,) * 4
    clips = check_clips(product, {item.result["clip"] for item in items})
    assert len(clips) == len(set(texts))


def check_clips(product: Voiceworks, keys: set[str]) -> list[Any]:
    """The clips: each ready, synthesized by one unit, and with files that hold what the rows say."""
    clips = product.rows("select * from speech_clips where key = any(:keys)", keys=list(keys))
    assert {clip.key: clip.state for clip in clips} == dict.fromkeys(keys, "ready")
    assert len(clips) == len(keys)
    syntheses = synthesized(product)
    for clip in clips:
        # None where a worker lost its lease, but not the race for the clip.
        assert syntheses[clip.key] <= 1, f"{clip.key} was synthesized {syntheses[clip.key]} times"
        assert (clip.token, clip.lease_node, clip.lease_until) == (None,) * 3
        renditions = product.rows("select * from speech_renditions where clip_key = :key", key=clip.key)
        assert "wav" in {rendition.format for rendition in renditions}
        for rendition in renditions:
            content = product.files.path(rendition.file).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (rendition.size_bytes, rendition.file)
            samples, rate = soundfile.read(io.BytesIO(content))
            assert rate == clip.sample_rate_hz
            assert abs(len(samples) / rate - clip.duration_seconds) < 0.001
            assert abs(samples).max() > 0.05
    return clips


def keys_of(product: Voiceworks, job_id: str) -> set[str]:
    """The clips of a job's items."""
    return {row.result["clip"] for row in product.rows("select result from job_items where job_id = :job", job=job_id)}


def synthesized(product: Voiceworks) -> Counter[str]:
    """How many units say of each clip that they synthesized it."""
    results = "select result from jobs where result is not null union all select result from job_items"
    return Counter(row.result["clip"] for row in product.rows(results) if (row.result or {}).get("cached") is False)


def held(product: Voiceworks) -> list[str]:
    """What is open or in somebody's hands: jobs, items, clips."""
    query = """
        select 'job ' || id from jobs where state in ('queued', 'running')
        union all select 'item ' || id from job_items where state = 'running' or token is not null
        union all select 'clip ' || key from speech_clips where state = 'making' or token is not null
    """
    return [row[0] for row in product.rows(query)]


def check_nothing_hangs(product: Voiceworks) -> None:
    """Nobody holds anything: no job is open, no unit runs, no clip is being made."""
    assert held(product) == []
