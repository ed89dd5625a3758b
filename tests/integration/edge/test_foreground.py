from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from bodega.errors import AddressInUse
from bodega.testing import Answer, free_port
from bodega.testing import Origin as Scripted

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand, Origin, Wait

Start = Callable[..., "EdgeCommand"]


def fetch(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as response:
        response.read()
        return response.status, response.headers["cache-status"]


def bodega(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bodega", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "BODEGA_RUNTIME_DIR": str(folder / "run")},
    )


def test_an_edge_says_where_it_listens_and_what_it_keeps(origin: Origin, command: Start) -> None:
    edge = command("--origin", origin.url, "--listen", ":0", "--name", "edge-1", "--region", "eu")
    edge.wait_said("forget everything: `bodega purge all`")
    said = "".join(edge.lines)
    assert f"listening on {edge.url}" in said
    assert f"origin {origin.url}" in said
    assert "answers that say nothing are kept 24 h (`--ttl 0`: only what they say)" in said
    assert (edge.said["name"], edge.said["region"], edge.said["pid"]) == ("edge-1", "eu", edge.pid)
    assert "uri-miss; stored" in fetch(f"{edge.url}/a")[1]
    assert re.search("hit; ttl=86(400|399|398)", fetch(f"{edge.url}/a")[1])


def test_sigterm_finishes_what_is_under_way_and_ends_well(origin: Origin, command: Start, wait_until: Wait) -> None:
    edge = command("--origin", origin.url, "--listen", ":0")
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.append(fetch(f"{edge.url}/slow")))
    client.start()
    wait_until(lambda: origin.seen == ["GET /slow"])
    edge.process.send_signal(signal.SIGTERM)
    edge.wait_said("finishing what is under way")
    origin.release.set()
    client.join(20)
    assert answers[0][0] == 200
    assert edge.process.wait(20) == 0


def test_an_edge_says_when_an_origin_begins_to_fail_and_when_it_answers_again(
    command: Start, tmp_path: Path, wait_until: Wait
) -> None:
    file = tmp_path / "bodega.toml"
    port = free_port()
    health = '{ max_failures = 2, retry_after = "10ms" }'
    file.write_text(
        f'[origins]\nsite = {{ url = "http://127.0.0.1:{port}", health = {health} }}\n'
        '[distributions.d]\nbehaviors = [ { origin = "site" } ]\n'
    )
    edge = command(str(file), "--listen", ":0")

    def answers() -> bool:
        try:
            return fetch(f"{edge.url}/a")[0] == 200
        except urllib.error.HTTPError:
            return False

    assert [answers(), answers()] == [False, False]
    edge.wait_said('origin "site" failed 2 times in a row and is tried again in 0.0 s: origin "site"')
    with Scripted({"*": Answer(b"up")}, port=port):
        wait_until(answers)
        edge.wait_said('origin "site" answers again, after ')


def test_a_second_signal_ends_at_once(origin: Origin, command: Start, wait_until: Wait) -> None:
    edge = command("--origin", origin.url, "--listen", ":0")
    with socket.create_connection(("127.0.0.1", urlsplit(edge.url).port or 0)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: origin.seen == ["GET /slow"])
        edge.process.send_signal(signal.SIGINT)
        edge.wait_said("finishing what is under way")
        edge.process.send_signal(signal.SIGINT)
        assert edge.process.wait(20) == 0
        assert edge.has_said("ending at once")


def test_sighup_reads_the_file_again_and_keeps_what_served_where_it_is_wrong(
    origin: Origin, command: Start, tmp_path: Path
) -> None:
    file = tmp_path / "bodega.toml"
    text = f"""
[edge]
listen = "127.0.0.1:0"
memory = "64MB"
[distributions.a]
behaviors = [ {{ path = "/hello", answer = {{ body = "one" }} }}, {{ origin = "{origin.url}" }} ]
"""
    file.write_text(text)
    edge = command()

    def hello() -> str:
        with urllib.request.urlopen(f"{edge.url}/hello", timeout=5) as response:
            return str(response.read().decode())

    assert hello() == "one"
    file.write_text(text.replace('body = "one"', 'bdy = "two"'))
    edge.process.send_signal(signal.SIGHUP)
    edge.wait_said('did you mean "body"?')
    assert edge.has_said("not reloaded, what served before goes on serving: bodega.toml:6")
    assert hello() == "one"
    file.write_text(text.replace('body = "one"', 'body = "three"').replace("64MB", "32MB"))
    edge.process.send_signal(signal.SIGHUP)
    edge.wait_said("[edge] changed (`memory`): a restart is needed")
    assert edge.has_said("revision 2 is in force")
    assert hello() == "three"


def test_running_edges_are_found_asked_and_made_to_forget(origin: Origin, command: Start, tmp_path: Path) -> None:
    edges = [command("--origin", origin.url, "--listen", ":0", "--name", name) for name in ("one", "two")]
    for edge in edges:
        fetch(f"{edge.url}/a")
    purged = bodega(tmp_path, "purge", "all", "--yes")
    assert (purged.returncode, purged.stdout) == (0, "forgotten on 2 edges: everything\n")
    # What was forgotten may have been cleared away already, and is then a miss like any other.
    assert "; fwd=" in fetch(f"{edges[0].url}/a")[1]
    purged = bodega(tmp_path, "purge", f"{edges[1].url}/a", "--edge", edges[1].said["admin"], "--json")
    assert json.loads(purged.stdout)["edges"][0]["sequence"] > 0
    status = bodega(tmp_path, "status", "--json")
    shown = {each["name"]: each for each in json.loads(status.stdout)["edges"]}
    assert {name: each["n_requests"] for name, each in shown.items()} == {"one": 2, "two": 1}
    assert shown["one"]["pid"] == edges[0].pid
    assert "hit rate" in bodega(tmp_path, "status").stdout


def test_an_address_that_is_taken_is_named_with_the_way_out(origin: Origin, command: Start, tmp_path: Path) -> None:
    edge = command("--origin", origin.url, "--listen", ":0")
    address = urlsplit(edge.url).netloc
    second = bodega(tmp_path, "edge", "--origin", origin.url, "--listen", address)
    assert second.returncode == AddressInUse.EXIT_STATUS
    assert f"{address} is taken by bodega (pid {edge.pid})" in second.stderr.replace("\n", " ")
    assert "use `--listen 127.0.0.1:" in second.stderr


def test_an_origin_that_is_down_is_a_warning(command: Start) -> None:
    edge = command("--origin", "http://127.0.0.1:1", "--listen", ":0")
    edge.wait_said("warning: origin http://127.0.0.1:1 (connection refused) cannot be reached")
    assert edge.process.poll() is None


def wait_until_more(wait_until: Wait, counts: list[int]) -> None:
    before = sum(counts)
    wait_until(lambda: sum(counts) > before + 50)


def test_an_upgrade_under_load_refuses_no_request(origin: Origin, command: Start, wait_until: Wait) -> None:
    old = command("--origin", origin.url, "--listen", ":0", "--threads", "2")
    url, ended = f"{old.url}/a", threading.Event()
    failures: list[BaseException] = []
    counts = [0] * 4

    def ask(index: int) -> None:
        while not ended.is_set():
            try:
                assert fetch(url)[0] == 200
                counts[index] += 1
            except BaseException as error:  # noqa: BLE001 - Told by the test itself.
                failures.append(error)

    clients = [threading.Thread(target=ask, args=(index,)) for index in range(len(counts))]
    for client in clients:
        client.start()
    running = old
    for _ in range(3):
        wait_until_more(wait_until, counts)
        successor = command("--origin", origin.url, "--take-over", str(running.pid), "--threads", "2")
        assert running.process.wait(40) == 0
        assert running.has_said("another process has taken over")
        running = successor
    wait_until_more(wait_until, counts)
    ended.set()
    for client in clients:
        client.join(20)
    assert failures == []


def test_a_process_that_does_not_run_hands_nothing_over(origin: Origin, tmp_path: Path) -> None:
    refused = bodega(tmp_path, "edge", "--origin", origin.url, "--take-over", "4194400")
    assert refused.returncode == 1
    assert "process 4194400 did not hand over its listeners" in refused.stderr


def test_sockets_of_the_service_manager_are_served(origin: Origin, command: Start) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        # What the service manager does: descriptor 3, and its own process's number as the service's.
        start = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, "-m", "bodega", *sys.argv[2:]])
"""
        edge = command(
            "--origin",
            origin.url,
            command=[sys.executable, "-c", start, str(listener.fileno())],
            pass_fds=[listener.fileno()],
        )
        assert edge.url == f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert fetch(f"{edge.url}/a")[0] == 200


@pytest.mark.parametrize("format_", ["json", "combined"])
def test_the_access_log_goes_to_standard_output_where_it_is_asked_for(
    origin: Origin, command: Start, format_: str
) -> None:
    edge = command("--origin", origin.url, "--listen", ":0", "--access-log", "-", "--access-log-format", format_)
    fetch(f"{edge.url}/logged")
    edge.process.send_signal(signal.SIGTERM)
    assert edge.process.wait(20) == 0
    assert edge.process.stdout is not None
    assert "/logged" in edge.process.stdout.read()


def test_variables_are_settings_and_options_win_over_them(origin: Origin, command: Start) -> None:
    edge = command(
        "--origin",
        origin.url,
        "--name",
        "from-option",
        command=["env", "BODEGA_NAME=from-variable", "BODEGA_LISTEN=127.0.0.1:0", sys.executable, "-m", "bodega"],
    )
    assert edge.said["name"] == "from-option"
    assert fetch(f"{edge.url}/a")[1].startswith("from-option;")
