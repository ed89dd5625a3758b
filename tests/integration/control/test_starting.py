"""What an edge does between its start and its first answer: it asks what it missed, or says that it could not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    HOST,
    Follow,
    command,
    edges,
    follow,
    following,
    get,
    is_hit,
    level,
    origin,
    publish,
    purge,
    serves,
    start_again,
    stop,
    token,
)
from tests.integration.edge.conftest import Origin, wait_until

from bodega.testing import Network, free_port

__all__ = ["command", "follow", "origin", "token"]


@pytest.fixture(autouse=True)
def kept_an_hour(origin: Origin) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"


def first_answers(port: int, n: int, found: list[httpx.Response]) -> list[threading.Thread]:
    """Ask from before anybody listens on, with several clients: the first answer of each."""

    def ask() -> None:
        while True:
            try:
                found.append(httpx.get(f"http://127.0.0.1:{port}/a", headers=HOST, trust_env=False, timeout=30))
            except httpx.TransportError:
                continue
            return

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_very_first_request_gets_nothing_that_was_purged_while_the_edge_was_away(
    client: httpx.Client, origin: Origin, follow: Follow, end: int
) -> None:
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(serves(edge))
    assert is_hit(edge)
    # What was invalidated before it is on the disk, and so is what was stored.
    stop(edge, end)
    before = len(origin.seen)
    purge(client)

    port = free_port()
    found: list[httpx.Response] = []
    threads = first_answers(port, 4, found)
    edge = follow("tokyo-1", "--listen", f"127.0.0.1:{port}")
    for thread in threads:
        thread.join(30)

    assert [answer.status_code for answer in found] == [200] * 4
    assert len(origin.seen) == before + 1
    assert following(edge)["is_cut"] is False


def test_clients_wait_while_the_control_process_takes_its_time(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    port = free_port()
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        relay.stall()
        waiting: list[httpx.Response] = []
        threads = first_answers(port, 1, waiting)
        # Heard of again while the edge still waits.
        resume = threading.Timer(1.0, relay.resume)
        resume.start()
        edge = follow("tokyo-1", "--listen", f"127.0.0.1:{port}", "--catch-up-wait", "1m", url=relay.url)
        threads[0].join(30)
        resume.join()
        assert [answer.status_code for answer in waiting] == [200]
        assert following(edge)["revision"] == 1
        assert not edge.has_said("serving cut off")
        stop(edge)


@pytest.mark.parametrize("how", ["away", "silent"])
def test_while_the_control_process_is_away_it_serves_what_was_kept_and_says_so(
    control: ControlProcess, origin: Origin, follow: Follow, how: str
) -> None:
    with control.client() as client:
        publish(client, origin)
        edge = follow("tokyo-1")
        wait_until(serves(edge))
        assert is_hit(edge)
        stop(edge)
        purge(client, "tag:nothing")
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        if how == "silent":
            relay.stall()
        else:
            control.end(signal.SIGKILL)
        edge = follow("tokyo-1", "--catch-up-wait", "1s", url=relay.url)
        edge.wait_said("serving cut off from")
        edge.wait_said("revision 1, which was kept here")
        assert is_hit(edge)
        said = following(edge)
        assert (said["is_cut"], said["revision"], said["level_age_seconds"]) == (True, 1, None)
        wait_until(lambda: following(edge)["problem"] != "")

        if how == "silent":
            relay.resume()
        else:
            start_again(control).close()
        with control.client() as client:
            purge(client)
            wait_until(level(client, "tokyo-1"))
        assert not is_hit(edge)
        assert following(edge)["is_cut"] is False
        stop(edge)


def test_without_anything_kept_it_serves_what_its_file_says(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow, tmp_path: Path
) -> None:
    publish(client, origin)
    file = tmp_path / "first.toml"
    behavior = 'behaviors = [{ answer = { status = 299, body = "not yet" } }]'
    file.write_text(f"[distributions.first]\n{behavior}\n")
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        relay.refuse()
        edge = follow("tokyo-1", str(file), "--catch-up-wait", "0s", url=relay.url)
        edge.wait_said("by what the file declares")
        assert get(edge).startswith("299")
        relay.accept()
        wait_until(serves(edge))
        stop(edge)


def test_what_is_kept_and_damaged_is_named_and_not_used(
    control: ControlProcess, origin: Origin, follow: Follow, tmp_path: Path
) -> None:
    with control.client() as client:
        publish(client, origin)
        edge = follow("tokyo-1")
        wait_until(serves(edge))
        stop(edge)
    control.end()
    kept = tmp_path / "tokyo-1" / "control-configuration.json"
    kept.write_bytes(kept.read_bytes().replace(b"shop.test", b"shop.evil"))
    edge = follow("tokyo-1", "--catch-up-wait", "0s")
    edge.wait_said("control-configuration.json is damaged")
    edge.wait_said("by what the file declares")
    assert not get(edge).startswith("200")
    with start_again(control) as client:
        wait_until(level(client, "tokyo-1"))
    wait_until(serves(edge))


def test_a_start_that_is_called_off_lets_nobody_in(control: ControlProcess, token: Path, tmp_path: Path) -> None:
    port = free_port()
    options = ("--listen", f"127.0.0.1:{port}", "--admin", "off", "--name", "tokyo-1", "--catch-up-wait", "1m")
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        relay.stall()
        link = ("--control", relay.url, "--control-token-file", str(token))
        process = subprocess.Popen(
            [sys.executable, "-m", "bodega", "edge", *options, *link],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "BODEGA_RUNTIME_DIR": str(tmp_path / "run")},
        )
        try:
            found: list[socket.socket] = []

            def listens() -> bool:
                try:
                    found.append(socket.create_connection(("127.0.0.1", port), timeout=30))
                except ConnectionError:
                    return False
                return True

            wait_until(listens)
            with found[0] as waiting:
                waiting.sendall(b"GET /a HTTP/1.1\r\nHost: shop.test\r\n\r\n")
                # Does not call it off.
                process.send_signal(signal.SIGHUP)
                time.sleep(0.3)
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
                # A reset is an answer all the less.
                with contextlib.suppress(ConnectionError):
                    assert waiting.recv(100) == b""
        finally:
            process.kill()
            process.communicate()


def test_a_reload_while_it_starts_is_no_end(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow, tmp_path: Path
) -> None:
    publish(client, origin)
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        relay.stall()

        def reload_and_resume() -> None:
            # Its disk is there before it asks anybody.
            wait_until((tmp_path / "tokyo-1" / "control-instance").exists)
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if f"{tmp_path / 'tokyo-1'}:64MiB".encode() in path.read_bytes():
                        os.kill(int(path.parent.name), signal.SIGHUP)
            relay.resume()

        told = threading.Thread(target=reload_and_resume)
        told.start()
        edge = follow("tokyo-1", "--catch-up-wait", "1m", url=relay.url)
        told.join(30)
        edge.wait_said("not reloaded")
        assert get(edge).startswith("200")
        assert not edge.has_said("serving cut off")
        stop(edge)


def test_a_restarted_edge_has_its_name_at_once(client: httpx.Client, origin: Origin, follow: Follow) -> None:
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(level(client, "tokyo-1"))
    stop(edge, signal.SIGKILL)
    # No three seconds pass: it says whom it replaces.
    edge = follow("tokyo-1")
    wait_until(level(client, "tokyo-1"))
    assert not edge.has_said("is here")
    assert edges(client)["tokyo-1"]["revision"] == 1
