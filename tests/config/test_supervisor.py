"""The supervisor as an operator meets it: started, interrupted, killed, started twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from config import embedded, settings, supervisor
from config.child import StartFailed
from config.group import SAME_PRESS_SECONDS
from tests.config.conftest import ROOT, Site, eventually


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has reaped yet works no more either."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to the line that holds the text; what comes instead, when it ends before."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def test_everything_starts_in_order_and_ctrl_c_stops_it_in_reverse(site: Site) -> None:
    del site.environment["DATABASE_URL"], site.environment["REDIS_URL"]
    queue = embedded.socket_dir(site.var_dir) / "queue.sock"
    site.procfile(
        beat="",
        flower="",
        release="--exit 0",
        web=f"--listen {site.port} --load-seconds 0.4",
        fleet=f"--stop-seconds 0.2 --needs {queue} --touch {site.var_dir}/run/live-voices.ready --load-seconds 0.7",
    )
    for life in ("first", "second"):
        began = time.monotonic()
        process = site.start()
        output = read_until(process, "flower ready")
        seconds = time.monotonic() - began
        lines = [line.split(" (")[0] for line in output.splitlines()]
        stores = "queue, stream, postgres ready"
        assert lines == [stores, "release done", "release was here", "web, fleet ready", "beat ready", "flower ready"]
        assert site.stage.started("web", "fleet", "beat", "flower")
        assert site.pid("postgres")
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        output = process.communicate(timeout=10)[0]
        assert output.splitlines() == ["Stopping (Ctrl-C again to hurry) ...", "Stopped."]
        assert process.returncode == 0
        assert not site.stage.processes()

        assert site.stage.at("release", "started") < site.stage.at("web", "started")
        assert site.stage.at("web", "listening") < site.stage.at("beat", "started")
        assert site.stage.at("fleet", "touched") < site.stage.at("beat", "started")
        assert site.stage.at("flower", "ended") < site.stage.at("beat", "asked")
        assert site.stage.at("beat", "ended") < min(site.stage.at("web", "asked"), site.stage.at("fleet", "asked"))
        assert site.stage.events("fleet", "served")  # the queue outlived the workers
        (site.stage.folder / "events").unlink()
        if life == "second":
            assert seconds < 5  # with what the real programs load at their start, 5 s are promised in all


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_by_signal_is_orderly(site: Site, number: signal.Signals) -> None:
    site.procfile(worker="")
    # Where the tests themselves run under nohup, it would be ignored, as the next test says.
    ours = signal.signal(number, signal.SIG_DFL)
    process = site.start()
    signal.signal(number, ours)
    read_until(process, "worker ready")
    assert site.stage.started("worker")
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert site.stage.events("worker", "ended")


def test_nohup_keeps_it_running_when_the_terminal_closes(site: Site) -> None:
    site.procfile(worker="")
    process = subprocess.Popen(["nohup", *site.command()], cwd=ROOT, env={**os.environ, **site.environment})
    assert site.stage.started("worker")
    process.send_signal(signal.SIGHUP)
    worker = site.pid("worker")
    assert worker
    assert not eventually(lambda: is_gone(worker), 0.3)
    process.terminate()
    assert process.wait(10) == 0


def test_a_second_ctrl_c_hurries_and_leaves_nothing_behind(site: Site) -> None:
    # The helper has left its program's group, as a fleet's workers do: only its environment still tells whose it is.
    site.procfile(worker="--deaf --helper session", web=f"--listen {site.port}")
    process = site.start()
    read_until(process, "ready")
    assert site.stage.started("worker", "helper", "web")
    process.send_signal(signal.SIGINT)
    read_until(process, "Stopping")
    assert not eventually(lambda: process.poll() is not None, SAME_PRESS_SECONDS + 0.1)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=10)[0]
    assert output.count("worker did not stop in time and is killed") == 1
    assert process.returncode == 0
    assert not site.stage.processes()


def test_after_a_kill_of_the_supervisor_the_next_one_starts_though_deaf_programs_hold_its_port(site: Site) -> None:
    site.procfile(web=f"--listen {site.port} --deaf", worker="")
    first = site.start()
    read_until(first, "worker ready")
    assert site.stage.started("web", "worker")
    orphan = site.pid("web")
    first.kill()
    first.communicate(timeout=10)
    assert site.stage.ended("worker")  # the kernel told it
    assert orphan
    assert not is_gone(orphan)
    second = site.start()
    assert "web ready" in read_until(second, "web ready")
    assert is_gone(orphan)
    second.kill()
    second.communicate(timeout=10)


def test_a_second_supervisor_is_refused_with_the_number_of_the_first(site: Site) -> None:
    site.procfile(worker="")
    first = site.start()
    read_until(first, "worker ready")
    second = subprocess.run(site.command(), cwd=ROOT, env={**os.environ, **site.environment}, capture_output=True)
    assert second.returncode == 1
    assert f"already runs on {site.var_dir}: process {first.pid} ".encode() in second.stdout
    assert site.pid("worker")
    first.terminate()
    first.communicate(timeout=10)


def test_a_named_program_joins_what_runs_and_leaves_without_it(site: Site) -> None:
    site.procfile(release="--exit 0", worker="", worker_train="")
    first = site.start("worker")
    read_until(first, "worker ready")
    guest = site.start("worker_train")
    assert "release" not in read_until(guest, "worker_train ready")
    assert site.stage.started("worker_train")
    guest.terminate()
    guest.communicate(timeout=10)
    assert guest.returncode == 0
    assert site.stage.events("worker_train", "ended")
    assert site.pid("worker")
    first.terminate()
    first.communicate(timeout=10)
    assert len(site.stage.events("release", "started")) == 1


def test_an_unknown_program_is_named_with_those_there_are(site: Site) -> None:
    site.procfile(web="", worker="")
    with pytest.raises(StartFailed, match="has no wroker; it has web, worker"):
        supervisor.Supervisor(site.settings(), site.stage.folder / "Procfile", only=["wroker"])


def test_a_release_that_fails_shows_its_output_and_starts_nothing(site: Site) -> None:
    site.procfile(release="--exit 4", worker="")
    process = site.start()
    output = process.communicate(timeout=10)[0]
    assert process.returncode == 1
    assert "release failed (exit status 4)" in output
    assert "\nrelease was here\n" in output
    assert not site.stage.events("worker")


def test_ctrl_c_while_the_database_is_made_is_an_orderly_stop(site: Site) -> None:
    del site.environment["DATABASE_URL"]
    site.procfile(worker="")
    process = site.start()
    assert eventually(lambda: list(site.var_dir.glob("postgres.new-*")))
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=10)[0].splitlines() == ["Stopping (Ctrl-C again to hurry) ...", "Stopped."]
    assert process.returncode == 0
    assert (site.var_dir / "postgres" / "PG_VERSION").exists()


def test_a_port_in_use_is_named_and_nothing_stays_behind(site: Site) -> None:
    site.procfile(web=f"--listen {site.port}")
    with socket.create_server(("127.0.0.1", site.port)):
        process = site.start()
        output = process.communicate(timeout=10)[0]
    assert process.returncode == 1
    assert output.startswith(f"Port {site.port} of 127.0.0.1 cannot be used by web: Address already in use.")
    assert not site.stage.events()


@pytest.mark.parametrize("host", ["not.an.address.invalid", "192.0.2.1"])
def test_a_host_that_is_no_address_of_this_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    with pytest.raises(StartFailed) as fault:
        supervisor.refuse_used_ports("web", replace(settings.load(), host=host))
    assert str(fault.value).startswith(f"HOST: {host!r} is no address of this machine")


def test_servers_that_are_killed_come_back(site: Site) -> None:
    del site.environment["DATABASE_URL"], site.environment["REDIS_URL"]
    site.procfile(worker="")
    with supervisor.Supervisor(site.settings(), site.stage.folder / "Procfile") as running:
        assert running.wait_ready()
        for name in ("postgres", "queue"):
            killed = site.pid(name)
            assert killed
            os.kill(killed, signal.SIGKILL)
            assert site.restarted(name, killed)
        assert eventually(lambda: embedded.postgres_ready(site.var_dir))
        assert eventually(lambda: embedded.valkey_ready(site.var_dir, "queue"))
    assert running.exit_code == 0
    assert not site.stage.processes()


FOREGROUND = """
import time
with supervisor.Supervisor(settings.load(), procfile) as running:
    assert running.wait_ready()
    print("in front", flush=True)
    {work}
    print("finished", flush=True)
    running.wait()
print("left", flush=True)
sys.exit(running.exit_code)
"""


def test_ctrl_c_interrupts_what_runs_in_front_and_stops_the_rest(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="time.sleep(60)"))
    read_until(process, "in front")
    assert site.stage.started("worker")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=10)[0]
    assert output.splitlines()[-2:] == ["Stopped.", "left"]
    assert "finished" not in output
    assert process.returncode == 0
    assert site.stage.events("worker", "ended")


def test_what_runs_in_front_ends_and_the_rest_runs_on(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="pass"))
    assert "finished" in read_until(process, "finished")
    worker = site.pid("worker")
    assert worker
    os.kill(worker, signal.SIGKILL)  # and is watched
    assert site.restarted("worker", worker)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0].endswith("left\n")
    assert process.returncode == 0


def test_a_fault_of_what_runs_in_front_stops_the_rest_and_is_shown(site: Site) -> None:
    site.procfile(worker="")
    process = site.start(script=FOREGROUND.format(work="raise ValueError('no voice')"))
    output = process.communicate(timeout=10)[0]
    assert "ValueError: no voice" in output
    assert process.returncode == 1
    assert not site.stage.processes()


def test_health_is_an_answer_of_200_and_nothing_else() -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        port = server.server_address[1]
        for status in (503, 200):
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            assert supervisor.answers_health("0.0.0.0", port, "ready") is (status == 200)
            thread.join()
        assert not supervisor.answers_health("127.0.0.1", port)  # it listens, and nobody answers
    assert not supervisor.answers_health("127.0.0.1", port)
