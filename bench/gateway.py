"""``python -m bench.gateway [--repeats 5]``: the gateway's own part of a tool's call, at fifty calls a second.

A stand-in for a service answers after 20 ms and says how long it took; what is left of the caller's time is ours, with
the client's library and the connection in it. The caller is no administrator, but one of two hundred people in fifty
groups.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from bench import record
from bench.service import Service, free_port

CALLS_A_SECOND, SECONDS, CALLERS = 50, 20.0, 10
THINKING_SECONDS = 0.02
PEOPLE, GROUPS = 200, 50
GOAL_MS = 15.0
PACKAGES = ("flask", "gevent", "gunicorn", "jsonschema", "psycopg", "requests", "requests-hardened", "sqlalchemy")
_ROOT = Path(__file__).parents[1]


class _Upstream(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        began = time.perf_counter()
        time.sleep(THINKING_SECONDS)
        body = json.dumps({"took_ms": (time.perf_counter() - began) * 1000}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def upstream(port: int) -> None:
    """Answers until it is ended; a process of its own, so that it is not measured with the callers."""
    ThreadingHTTPServer(("127.0.0.1", port), _Upstream).serve_forever()


def calls(port: int, key: str) -> list[float]:
    """The milliseconds that were ours of each call, sorted; calls begin when it is time, however the last one goes."""
    own: list[float] = []
    faults: list[str] = []
    count = int(CALLS_A_SECOND * SECONDS)
    begins = time.perf_counter() + 0.5

    def call(first: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        for number in range(first, count, CALLERS):
            due = begins + number / CALLS_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            connection.request("POST", "/api/mcp/tools/bench_get", b'{"arguments": {"q": "x"}}', headers)
            answer = connection.getresponse()
            told: Any = json.loads(answer.read())
            took = (time.perf_counter() - began) * 1000
            if answer.status != 200:
                faults.append(str(told))
                continue
            own.append(took - told["result"]["took_ms"])

    threads = [threading.Thread(target=call, args=(first,)) for first in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    return sorted(own)


def _prepare(port: int, admin_key: str, upstream_port: int) -> str:
    """The key of somebody in one of many groups, who may call the tool of one service."""
    session = requests.Session()
    session.headers["X-API-Key"] = admin_key

    def post(path: str, **body: Any) -> Any:
        answer = session.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    tool = {"name": "bench_get", "description": "Get it", "path": "/x", "query": {"q": "{q}"}}
    config = {"tools": [tool | {"parameters": {"q": {"type": "string"}}}]}
    url = f"http://127.0.0.1:{upstream_port}"
    post("/api/services", name="bench", type="generic_http", url=url, api_key="a-key", config=config)
    for number in range(PEOPLE):
        post("/api/users/mappings", canonical_name=f"somebody{number}")
    for number in range(GROUPS):
        members = [f"somebody{each}" for each in range(number, PEOPLE, GROUPS)]
        post("/api/groups", name=f"group{number:03}", tool_permissions=["plex_*", "radarr_*"], members=members)
    post("/api/groups", name="those who may", tool_permissions=["bench_*"], members=["somebody7"])
    password = "a password of the bench"
    post("/api/users", username="somebody7", password=password, role="client")
    url = f"http://127.0.0.1:{port}/api/auth/login"
    tokens = requests.post(url, json={"username": "somebody7", "password": password}, timeout=30).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    url = f"http://127.0.0.1:{port}/api/auth/keys"
    made = requests.post(url, json={"name": "bench", "role": "client"}, headers=headers, timeout=30).json()
    return str(made["key"])


def main() -> None:
    """Measures, prints a table, writes ``bench/results/gateway-<time>.json``."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.upstream:
        upstream(arguments.upstream)
    load_before = os.getloadavg()
    upstream_port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.gateway", "--upstream", str(upstream_port)], cwd=_ROOT)
    try:
        with Service() as service:
            port, admin_key = service.address
            key = _prepare(port, admin_key, upstream_port)
            calls(port, key)
            before = service.cpu_seconds()
            repeats = [calls(port, key) for _ in range(arguments.repeats)]
            cpu_ms = (service.cpu_seconds() - before) * 1000 / sum(map(len, repeats))
    finally:
        server.terminate()
        server.wait(10)
    figures = [
        {f"p{share}_ms": found[min(len(found) - 1, len(found) * share // 100)] for share in (50, 95, 99)}
        for found in repeats
    ]
    table = Table("own part of a call", "median", "min", "max", "goal", "")
    medians = {}
    for name in figures[0]:
        values = [each[name] for each in figures]
        medians[name] = statistics.median(values)
        goal = (f"< {GOAL_MS:g}", "met" if medians[name] < GOAL_MS else "not met") if name == "p95_ms" else ("", "")
        table.add_row(name, *(f"{value:.1f}" for value in (medians[name], min(values), max(values))), *goal)
    console = Console()
    console.print(table)
    told = {"medians": medians, "repeats": figures, "cpu_ms_a_call": cpu_ms, "calls_a_second": CALLS_A_SECOND}
    _, path = record.write(told, packages=PACKAGES, load_before=load_before, name="gateway-")
    console.print(f"{cpu_ms:.1f} ms of processor a call. Load average before {load_before[0]:.2f}. Written to {path}.")


if __name__ == "__main__":
    main()
