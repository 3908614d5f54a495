"""Backup and restore as gateway.md has them, closed and open."""

from __future__ import annotations

import json

from tests.contract.conftest import Reach, gateway_refused
from tests.contract.document import assert_shaped
from tests.contract.gateway_headings import GATEWAY, documented

EXPORT = GATEWAY["Export Configuration"].request
IMPORT = GATEWAY["Import Configuration"].request
PREVIEW = GATEWAY["Preview Export"]


def _fill(gateway: Reach) -> None:
    for title in ("Create Service", "Create User Mapping", "Create Group"):
        request = GATEWAY[title].request
        assert gateway(request, body=request.fields).status_code == 201


@documented("Preview Export")
def test_the_preview_counts_what_an_export_has(gateway: Reach) -> None:
    _fill(gateway)
    answer = gateway(PREVIEW.request)
    assert answer.status_code == 200
    assert_shaped(answer.get_json(), PREVIEW.answer)
    exported = gateway(EXPORT, body=EXPORT.fields).get_json()
    assert answer.get_json() | {name: len(rows) for name, rows in exported["data"].items()} == answer.get_json()


@documented("Export Configuration", "Import Configuration")
def test_what_was_exported_is_imported_by_the_documented_body(gateway: Reach) -> None:
    _fill(gateway)
    answer = gateway(EXPORT, body=EXPORT.fields)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert "attachment" in answer.headers["Content-Disposition"]
    exported = json.loads(answer.data)
    assert set(exported["data"]) == set(EXPORT.fields)
    assert "your-plex-token" not in answer.text

    (service,) = gateway(GATEWAY["List Services"].request).get_json()
    removed = gateway(GATEWAY["Delete Service"].request, service_id=str(service["id"]))
    assert removed.status_code == 200
    assert IMPORT.fields["options"] == {"merge_mode": False}
    restored = gateway(IMPORT, body=IMPORT.body(data=exported["data"]))
    assert restored.status_code == 200, restored.text
    (service,) = gateway(GATEWAY["List Services"].request).get_json()
    assert service["name"] == GATEWAY["Create Service"].request.fields["name"]
    again = gateway(EXPORT, body=EXPORT.fields).get_json()
    assert again["data"] == exported["data"]


def test_a_file_of_a_newer_version_is_refused(gateway: Reach) -> None:
    _fill(gateway)
    newer = gateway(IMPORT, body={"version": "9.0", "data": {"services": []}, "options": {"merge_mode": False}})
    gateway_refused(newer, 422, "BACKUP_VERSION_UNSUPPORTED")
    assert len(gateway(GATEWAY["List Services"].request).get_json()) == 1
