"""What was purged is given by a strict behavior, unconfirmed, to nobody who asks later than `strict` after that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    STRICT_SECONDS,
    Follow,
    Reader,
    command,
    follow,
    following,
    get,
    is_hit,
    level,
    origin,
    publish,
    purge,
    serves,
    stop,
    token,
)
from tests.integration.edge.conftest import Origin, wait_until

from bodega.testing import Network

__all__ = ["command", "follow", "origin", "token"]

BOTH = ("https://shop.test/a", "https://shop.test/strict/a")


@pytest.fixture(autouse=True)
def kept_an_hour(origin: Origin) -> None:
    origin.headers["Cache-Control"] = "max-age=3600, stale-while-revalidate=3600, stale-if-error=3600"


@pytest.mark.parametrize("trouble", ["there", "back", "both", "refused", "killed"])
def test_a_cut_edge_gives_nothing_unconfirmed_beyond_the_bound(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow, trouble: str
) -> None:
    origin.body = b"old"
    publish(client, origin)
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        edge = follow("tokyo-1", url=relay.url)
        for path in ("/a", "/strict/a"):
            assert get(edge, path).startswith("200")
            wait_until(lambda path=path: is_hit(edge, path))  # type: ignore[misc]
        reader = Reader(edge, "/strict/a")
        try:
            wait_until(lambda: len(reader.got) > 0)
            if trouble == "refused":
                relay.refuse()
                relay.cut()
            elif trouble != "killed":
                relay.stall(trouble)  # type: ignore[arg-type]
            origin.body = b"new"
            purge(client, *BOTH)
            acknowledged_at = time.monotonic()
            if trouble == "killed":
                control.end(9)
            # Until some have begun well after the bound.
            wait_until(lambda: reader.got[-1][0] > acknowledged_at + STRICT_SECONDS + 1)
        finally:
            got = reader.end()
        assert {text for began, text in got if began > acknowledged_at + STRICT_SECONDS} == {"new"}
        if trouble != "killed":
            # What is not strict is used for as long as it is fresh, or until the purge came: one way was still there.
            assert trouble == "there" or is_hit(edge, "/a")
            relay.accept()
            relay.resume()
            wait_until(level(client, "tokyo-1"))
            assert not is_hit(edge, "/a")
            # Level again, it is used unasked again.
            wait_until(lambda: is_hit(edge, "/strict/a"))
        stop(edge)


def test_an_edge_that_is_level_uses_what_is_strict_unasked(
    client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    edge = follow("tokyo-1")
    assert get(edge, "/strict/a").startswith("200")
    wait_until(lambda: is_hit(edge, "/strict/a"))
    asked = len(origin.seen)
    until = time.monotonic() + STRICT_SECONDS + 2
    n_late = 0
    while time.monotonic() < until:
        n_late += not is_hit(edge, "/strict/a")
        time.sleep(0.05)
    # A machine that stands still for long makes an edge ask: that is what it is for. But not as a rule.
    assert len(origin.seen) - asked == n_late < 20


@pytest.fixture(scope="session")
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("offset_seconds", [-10 * 86_400, 1_200])
def test_a_clock_that_is_wrong_on_an_edge_decides_nothing(
    control: ControlProcess,
    client: httpx.Client,
    origin: Origin,
    follow: Follow,
    wrong_clock: Path,
    offset_seconds: int,
) -> None:
    wrong = [f"LD_PRELOAD={wrong_clock}", f"BODEGA_TEST_CLOCK_OFFSET={offset_seconds}"]
    said = subprocess.run(["env", *wrong, "date", "+%s"], capture_output=True, text=True, check=True)
    assert abs(int(said.stdout) - time.time() - offset_seconds) < 100
    origin.body = b"old"
    publish(client, origin)
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        edge = follow("tokyo-1", url=relay.url, command=["env", *wrong, sys.executable, "-m", "bodega"])
        wait_until(serves(edge))
        assert is_hit(edge)
        assert get(edge, "/strict/a").startswith("200")
        wait_until(lambda: is_hit(edge, "/strict/a"))
        # A purge of now forgets what was stored, by that clock, long before or long after it.
        done = client.get(f"/v1/invalidations/{purge(client, *BOTH)['id']}", params={"wait": 30}).json()
        assert list(done["applied"]) == ["tokyo-1"]
        assert not is_hit(edge)
        assert not is_hit(edge, "/strict/a")
        wait_until(lambda: is_hit(edge, "/strict/a"))
        # How long it is level is measured by a clock that only goes on.
        assert following(edge)["level_age_seconds"] < 60
        relay.stall()
        wait_until(lambda: not is_hit(edge, "/strict/a"))
        relay.resume()
        wait_until(lambda: is_hit(edge, "/strict/a"))
        stop(edge)


def test_nothing_of_an_edges_agent_looks_at_the_time_of_day() -> None:
    folder = Path(__file__).parents[3] / "python" / "bodega" / "edge" / "agent"
    sources = sorted(folder.glob("*.py"))
    assert len(sources) > 5
    for path in sources:
        text = path.read_text()
        for name in ("time.time", "time_ns", "datetime", "gmtime", "localtime", "st_mtime"):
            assert name not in text, f"{path.name} uses {name}"
