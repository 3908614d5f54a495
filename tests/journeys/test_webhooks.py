"""Whoever asked to be told is told, though the process that tells is killed when the job ends."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

from tests.conftest import eventually
from tests.journeys.product import Voiceworks
from tests.journeys.texts import texts
from tests.receiving import receiving

Measured = Callable[..., None]


def test_the_sender_is_killed_as_the_job_ends_and_the_receiver_is_told_once(
    product: Voiceworks, measured: Measured
) -> None:
    course = product.course(texts("webhooks", 3))
    secret = product.api("GET", "/api/auth/webhook-secret").json()["secret"]
    with receiving() as receiver:
        body = {"curriculum_id": course, "callback_url": receiver.url()}
        killed = product.kill("worker_io")
        job_id = product.api("POST", "/api/tts/prefetch/topic", json=body).json()["job_id"]
        began = time.monotonic()
        assert product.until_ended(job_id) == "succeeded"
        told = receiver.first(within_seconds=30)
        measured("told after", time.monotonic() - began)
        assert product.pid("worker_io") != killed

        def delivered() -> bool:
            answer = product.api("GET", f"/api/jobs/{job_id}/deliveries").json()
            return [each["state"] for each in answer["deliveries"]] == ["delivered"]

        eventually(delivered, within_seconds=10)
        # The clock has ticked since.
        time.sleep(6)
        assert len(receiver.told) == 1
    signed = told.headers["X-Voiceworks-Timestamp"].encode() + b"." + told.body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert told.headers["X-Voiceworks-Signature"] == f"sha256={expected}"
    assert (told.message["event"], told.message["job"]["id"]) == ("job.finished", job_id)
