"""decisions.md on requests that are sent twice, and on those who are told of the end: closed and open."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from tests.conftest import eventually
from tests.contract.conftest import Reach
from tests.contract.document import Document, Request, quoted
from tests.receiving import receiving

DECISIONS = Document("decisions")
JSON = {"Content-Type": "application/json"}
CREATE = Request("POST", "/api/curriculum", JSON)
SPEAK = Request("POST", "/api/tts", JSON)


def test_a_post_that_is_sent_again_is_answered_again(reach: Reach) -> None:
    sentence = DECISIONS.sentence("`Idempotency-Key`")
    name, (replay, value) = quoted(sentence)[0], quoted(sentence)[1].split(": ")
    assert "24 hours" in sentence
    headers = {name: "of a course"}
    first, second = (reach(CREATE, body={"title": "Once"}, headers=headers) for _ in range(2))
    assert (first.status_code, replay in first.headers) == (201, False)
    assert (second.status_code, second.headers[replay]) == (201, value)
    assert first.get_json() == second.get_json()
    assert reach(Request("GET", "/api/curriculum")).get_json()["total"] == 1
    other = reach(CREATE, body={"title": "Twice"}, headers=headers)
    assert (other.status_code, other.get_json()["code"]) == (400, "VALIDATION_ERROR")


def test_the_end_of_a_job_is_told_as_promised(reach: Reach, worker: Any) -> None:
    sentence = DECISIONS.sentence("Webhooks")
    field, _, shape, timestamp, signature, *_ = quoted(sentence)
    (signed_by, algorithm) = re.fullmatch(r"([\w-]+): (\w+)=<hex .*>", signature).groups()  # type: ignore[union-attr]
    with receiving() as receiver:
        body = {"text": "Somebody waits to be told.", field: receiver.url()}
        job = reach(SPEAK, body=body, headers={"Prefer": "respond-async"}).get_json()["job_id"]
        told = receiver.first()
        assert set(told.message) == set(re.findall(r"\w+", shape))
        assert told.message["job"] == reach(Request("GET", "/api/jobs")).get_json()["jobs"][0]
        assert (algorithm, told.headers[signed_by].partition("=")[0]) == ("sha256", "sha256")
        if reach.closed:
            key = reach(Request("GET", "/api/auth/webhook-secret")).get_json()["secret"]
            content = f"{told.headers[timestamp]}.{told.body.decode()}".encode()
            expected = hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
            assert told.headers[signed_by] == f"{algorithm}={expected}"
        (listed,) = re.findall(r"`GET (/api/jobs/{id}/deliveries)`", sentence)
        found = eventually(
            lambda: [
                each
                for each in reach(Request("GET", listed), id=job).get_json()["deliveries"]
                if each["state"] == "delivered"
            ]
        )
    assert [(each["event"], each["attempts"]) for each in found] == [("job.finished", 1)]
