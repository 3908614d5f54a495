"""What is shipped for Prometheus and Grafana asks for figures that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families as read_text

from models.base import utc_now
from models.db import Database
from models.metrics import counting, families
from models.workers import Worker
from tests import making

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
_NAME = re.compile(r"\bvoiceworks_\w+")
_LABELS = re.compile(r"(voiceworks_\w+)\{([^}]*)\}|by \(([^)]*)\)")


def expressions() -> list[str]:
    """Everything that is asked of Prometheus."""
    rules = yaml.safe_load((MONITORING / "voiceworks-alerts.yml").read_text())
    dashboard: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return alerts + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.fixture
def shown(client: FlaskClient, admin: dict[str, str], database: Database, queue: redis.Redis) -> dict[str, set[str]]:
    """Every sample that a system with everything in it shows, and the labels it has."""
    for counter in families.COUNTERS:
        counter.add(*counter.labels)
    for histogram in families.HISTOGRAMS:
        histogram.observe(*histogram.labels, seconds=1.0)
    counting.flush(queue)
    making.submit(database)
    gpu = {"name": "H100", "memory_total_bytes": 80, "memory_used_bytes": 20, "utilization_percent": 35.0}
    told = {"lanes": ["test"], "engines": {"vits": "1"}, "memory_bytes": 1, "cpu_percent": 1.0, "gpu": gpu}
    with database.transaction() as session:
        worker = Worker(node="gpu0@far", host="far", pid=1, device="cuda:0", started_at=utc_now(), **told)
        worker.heartbeat_at = utc_now()
        session.merge(worker)
    try:
        text = client.get("/metrics", headers=admin).get_data(as_text=True)
    finally:
        with database.transaction() as session:
            session.delete(session.get_one(Worker, "gpu0@far"))
    return {sample.name: set(sample.labels) for family in read_text(text) for sample in family.samples}


def test_every_figure_that_is_asked_for_is_there_with_the_labels_it_is_asked_by(shown: dict[str, set[str]]) -> None:
    asked = expressions()
    assert len(asked) > 25
    for expression in asked:
        names = set(_NAME.findall(expression))
        assert names <= set(shown), expression
        labels = set().union(*(shown[name] for name in names))
        for _, selected, grouped in _LABELS.findall(expression):
            wanted = set(re.findall(r"(\w+)\s*[=!]", selected)) | {each.strip() for each in grouped.split(",") if each}
            assert wanted <= labels, expression


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    rules = yaml.safe_load((MONITORING / "voiceworks-alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_brackets_of_every_expression_close() -> None:
    for expression in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), expression


def test_the_scrape_asks_for_our_page_on_our_port() -> None:
    (scrape,) = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    assert (scrape["metrics_path"], scrape["static_configs"][0]["targets"]) == ("/metrics", ["127.0.0.1:8766"])
