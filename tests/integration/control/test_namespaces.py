"""Edges on machines of their own, as far as the network goes: namespaces, with cables that are pulled out.

This process goes into a namespace that is the control process' machine, and back at the end; nothing outside is
touched.
Each edge has two cables: one to the control process, one to the origin and its clients.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    STRICT_SECONDS,
    Follow,
    Reader,
    command,
    edges,
    follow,
    get,
    is_hit,
    level,
    publish,
    purge,
    token,
)
from tests.integration.edge.conftest import EdgeCommand, wait_until

from bodega.testing import Answer, Origin

__all__ = ["command", "follow", "token"]

CONTROL = "198.18.255.2"
ORIGIN = "198.18.255.1"
_NEW_NETWORK = 0x40000000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def hub() -> Iterator[None]:
    """Put this thread, and whatever it starts, into a network of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_NEW_NETWORK) != 0:
            pytest.skip(f"network namespaces are not allowed here: {os.strerror(ctypes.get_errno())}")
        try:
            ip("link", "set", "lo", "up")
            for address in (CONTROL, ORIGIN):
                ip("address", "add", f"{address}/32", "dev", "lo")
            yield
        finally:
            assert libc.setns(before, _NEW_NETWORK) == 0
    finally:
        os.close(before)


@pytest.fixture
def control(hub: None, tmp_path: Path) -> Iterator[ControlProcess]:
    process = ControlProcess(tmp_path)
    process.start("--listen", f"{CONTROL}:0", "--insecure")
    yield process
    process.end(9)


@pytest.fixture
def origin(hub: None) -> Iterator[Origin]:
    with Origin({"*": lambda _: Answer(b"old", headers={"Cache-Control": "max-age=3600"})}, host=ORIGIN) as origin:
        yield origin


class Machine:
    """An edge in a namespace of its own."""

    def __init__(self, number: int, edge: EdgeCommand) -> None:
        self.edge = edge
        self._number = number

    def pull(self) -> None:
        """Pull the cable to the control process: nobody is told, nothing comes through."""
        ip("link", "set", f"control{self._number}", "down")

    def plug(self) -> None:
        ip("link", "set", f"control{self._number}", "up")


@pytest.fixture
def machine(follow: Follow, tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    with ExitStack() as stack:
        numbers = iter(range(1, 100))

        def make(name: str) -> Machine:
            number = next(numbers)
            namespace = f"bodega-{os.getpid()}-{number}"
            try:
                ip("netns", "add", namespace)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"network namespaces cannot be named here: {error.stderr}")
            stack.callback(ip, "netns", "delete", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
            for cable, network, leads_to in (("control", 18, CONTROL), ("origin", 19, ORIGIN)):
                near, far = f"198.{network}.{number}.1", f"198.{network}.{number}.2"
                ip("link", "add", f"{cable}{number}", "type", "veth", "peer", "name", cable, "netns", namespace)
                ip("address", "add", f"{near}/30", "dev", f"{cable}{number}")
                ip("link", "set", f"{cable}{number}", "up")
                ip("-n", namespace, "address", "add", f"{far}/30", "dev", cable)
                ip("-n", namespace, "link", "set", cable, "up")
                ip("-n", namespace, "route", "add", f"{leads_to}/32", "via", near)
            there = ["ip", "netns", "exec", namespace, sys.executable, "-m", "bodega"]
            options = ("--listen", f"198.19.{number}.2:0", "--control-insecure", "true")
            edge = follow(name, *options, command=there)
            # Its loopback is not ours.
            edge.said["listening"] = [url for url in edge.said["listening"] if "198.19." in url]
            # Before the namespace goes.
            stack.callback(edge.process.wait, 30)
            stack.callback(edge.process.kill)
            return Machine(number, edge)

        yield make


def test_a_pulled_cable(client: httpx.Client, origin: Origin, machine: Callable[[str], Machine]) -> None:
    publish(client, origin.url)
    cut, other = machine("tokyo-1"), machine("paris-1")
    for each in (cut, other):
        for path in ("/a", "/strict/a"):
            assert get(each.edge, path).startswith("200")
            wait_until(lambda edge=each.edge, path=path: is_hit(edge, path))  # type: ignore[misc]
    wait_until(level(client, "tokyo-1", "paris-1"))

    reader = Reader(cut.edge, "/strict/a")
    try:
        wait_until(lambda: len(reader.got) > 0)
        cut.pull()
        origin.on("*", lambda _: Answer(b"new", headers={"Cache-Control": "max-age=3600"}))
        said = purge(client, "https://shop.test/a", "https://shop.test/strict/a")
        acknowledged_at = time.monotonic()
        # The one that hears of it is waited for; the other one is named.
        wait_until(lambda: client.get(f"/v1/invalidations/{said['id']}").json()["away"] == ["tokyo-1"])
        assert list(client.get(f"/v1/invalidations/{said['id']}").json()["applied"]) == ["paris-1"]
        cut.edge.wait_said("cut off from")
        wait_until(lambda: reader.got[-1][0] > acknowledged_at + STRICT_SECONDS + 1)
    finally:
        got = reader.end()
    assert {text for began, text in got if began > acknowledged_at + STRICT_SECONDS} == {"new"}
    assert not is_hit(other.edge)
    # It serves as before, and what was purged, as far as it is not strict.
    assert is_hit(cut.edge)
    assert not edges(client)["tokyo-1"]["is_here"]

    cut.plug()
    cut.edge.wait_said("again")
    wait_until(level(client, "tokyo-1"))
    assert sorted(client.get(f"/v1/invalidations/{said['id']}").json()["applied"]) == ["paris-1", "tokyo-1"]
    assert not is_hit(cut.edge)
