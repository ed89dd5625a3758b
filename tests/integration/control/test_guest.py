"""An edge within somebody's Python process that follows a control process."""

from __future__ import annotations

import gc
import os
import threading

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
    HOST,
    Follow,
    command,
    edges,
    follow,
    level,
    origin,
    publish,
    purge,
    token,
)
from tests.integration.edge.conftest import Origin, wait_until

import bodega
from bodega.errors import ConfigInvalid, InvalidationRefused

__all__ = ["Follow", "command", "follow", "origin", "token"]


@pytest.fixture
def secret(control: ControlProcess) -> str:
    with control.client() as client:
        made = client.post("/v1/tokens", json={"name": "edges", "scopes": ["edges"]}).json()
    return str(made["token"])


def n_following() -> int:
    return sum(thread.name in ("bodega-follow", "bodega-heartbeat") for thread in threading.enumerate())


def is_hit(edge: bodega.EdgeServer) -> bool:
    return "; hit" in edge.request("GET", "/a", headers=HOST).cache_status


def test_a_guest_serves_what_is_published_and_forgets_what_is_purged(
    control: ControlProcess, client: httpx.Client, origin: Origin, secret: str
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    publish(client, origin)
    with bodega.EdgeServer("ap-northeast-1", control=control.url, control_token=secret, name="guest-1") as edge:
        # At once: what there is was fetched before it began to serve.
        assert edge.request("GET", "/a").status == 200
        assert is_hit(edge)
        wait_until(level(client, "guest-1"))
        assert edges(client)["guest-1"]["region"] == "ap-northeast-1"
        done = client.get(f"/v1/invalidations/{purge(client)['id']}", params={"wait": 30}).json()
        assert list(done["applied"]) == ["guest-1"]
        assert not is_hit(edge)
        following = edge.stats().following
        assert following is not None
        assert (following.control, following.is_cut, following.revision) == (control.url, False, 1)
        with pytest.raises(InvalidationRefused, match=control.url):
            edge.invalidate("all")
        with pytest.raises(ConfigInvalid, match="published by the control process"):
            edge.reload()
        assert n_following() == 2
    assert n_following() == 0
    # Another start is another process to the control process, and has the name once the last one is away.
    with edge:
        assert edge.request("GET", "/a").status == 200


def test_one_that_is_forgotten_ends(control: ControlProcess, secret: str) -> None:
    edge = bodega.EdgeServer(control=control.url, control_token=secret).start()
    assert n_following() == 2
    del edge
    gc.collect()
    wait_until(lambda: n_following() == 0)


def test_a_fork_leaves_the_link_of_its_parent_alone(control: ControlProcess, client: httpx.Client, secret: str) -> None:
    with bodega.EdgeServer(control=control.url, control_token=secret, name="guest-1") as edge:
        wait_until(level(client, "guest-1"))
        child = os.fork()
        if child == 0:
            try:
                edge.stop()
                del edge
                gc.collect()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        purge(client, "all")
        wait_until(level(client, "guest-1"))
        following = edge.stats().following
        assert following is not None
        assert not following.is_cut


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"control": "https://x"}, "there is no token"),
        ({"control": "https://x", "control_token": "a b"}, "is no token"),
        ({"control": "http://10.0.0.1", "control_token": "a"}, "would show the token"),
        ({"control": "https://x", "control_token": "a", "origin_url": "http://a", "config": "b"}, "one of origin_url"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], what: str
) -> None:
    monkeypatch.delenv("BODEGA_TOKEN", raising=False)
    with pytest.raises(ConfigInvalid, match=what):
        bodega.EdgeServer(**arguments)  # type: ignore[arg-type]
