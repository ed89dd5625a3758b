"""Edges that follow a control process, all of them real: configurations, purges, cuts, kills, and another journal."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess
from tests.integration.control.edges import (
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
    serves,
    start_again,
    token,
)
from tests.integration.edge.conftest import EdgeCommand, Origin, wait_until

from bodega.journal import backup, restore

__all__ = ["command", "follow", "origin", "token"]


def test_a_configuration_and_purges_reach_all_of_them(
    client: httpx.Client,
    origin: Origin,
    follow: Follow,
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    both = {name: follow(name) for name in ("tokyo-1", "paris-1")}
    publish(client, origin)
    for edge in both.values():
        wait_until(serves(edge))
        assert is_hit(edge)
    purge = client.post("/v1/invalidations", json={"selectors": ["https://shop.test/a"]}).json()

    said = client.get(f"/v1/invalidations/{purge['id']}", params={"wait": 30}).json()

    assert said["is_complete"]
    assert sorted(said["applied"]) == ["paris-1", "tokyo-1"]
    for edge in both.values():
        assert not is_hit(edge)
        assert is_hit(edge)
    assert {each["revision"] for each in edges(client).values()} == {1}


def test_one_that_was_away_forgets_before_it_serves_what_it_missed(
    client: httpx.Client,
    origin: Origin,
    follow: Follow,
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(serves(edge))
    assert is_hit(edge)
    edge.process.send_signal(signal.SIGTERM)
    edge.process.wait(30)

    purge = client.post("/v1/invalidations", json={"selectors": ["https://shop.test/a"]}).json()
    edge = follow("tokyo-1")
    wait_until(level(client, "tokyo-1"))

    said = client.get(f"/v1/invalidations/{purge['id']}").json()
    assert list(said["applied"]) == ["tokyo-1"]
    assert not is_hit(edge)


def test_edges_go_on_while_the_control_process_is_away(
    control: ControlProcess,
    origin: Origin,
    follow: Follow,
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    with control.client() as client:
        publish(client, origin)
        edge = follow("tokyo-1")
        wait_until(level(client, "tokyo-1"))
    control.end(signal.SIGKILL)
    edge.wait_said("cut off from")
    assert get(edge).startswith("200")
    assert is_hit(edge)
    with start_again(control) as client:
        wait_until(level(client, "tokyo-1"))
        edge.wait_said("again")
        client.post("/v1/invalidations", json={"selectors": ["all"]})
        wait_until(level(client, "tokyo-1"))
    assert not is_hit(edge)


def test_of_another_journal_nothing_is_used_unconfirmed(
    control: ControlProcess,
    origin: Origin,
    follow: Follow,
    tmp_path: Path,
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    with control.client() as client:
        publish(client, origin)
        edge = follow("tokyo-1")
        wait_until(level(client, "tokyo-1"))
        backup(control.journal, tmp_path / "early.db")
        # What the backup does not know of.
        client.post("/v1/invalidations", json={"selectors": ["https://shop.test/other"]})
        wait_until(level(client, "tokyo-1"))
        assert not is_hit(edge)
        assert is_hit(edge)
    control.end()
    restore(tmp_path / "early.db", control.journal)
    with start_again(control) as client:
        edge.wait_said("the journal is not the one that was followed")
        wait_until(level(client, "tokyo-1"))
    # It was stored before: its origin is asked.
    assert not is_hit(edge)
    assert is_hit(edge)


def test_what_was_lost_with_a_restore_before_it_came_is_not_served_unconfirmed(
    control: ControlProcess,
    origin: Origin,
    follow: Follow,
    tmp_path: Path,
) -> None:
    """The purge was acknowledged, the edge never heard of it, and the journal that is left does not know of it."""
    origin.headers["Cache-Control"] = "max-age=3600"
    with control.client() as client:
        publish(client, origin)
        edge = follow("tokyo-1")
        wait_until(level(client, "tokyo-1"))
        get(edge)
        assert is_hit(edge)
        backup(control.journal, tmp_path / "early.db")
        edge.process.send_signal(signal.SIGKILL)
        edge.process.wait(30)
        client.post("/v1/invalidations", json={"selectors": ["https://shop.test/a"]})
    control.end()
    restore(tmp_path / "early.db", control.journal)
    with start_again(control) as client:
        edge = follow("tokyo-1")
        wait_until(level(client, "tokyo-1"))
        assert not is_hit(edge)
        assert is_hit(edge)


def test_a_restored_journal_that_does_not_know_the_edge_takes_it_in_again(
    control: ControlProcess, origin: Origin, follow: Follow, tmp_path: Path
) -> None:
    with control.client() as client:
        publish(client, origin)
        backup(control.journal, tmp_path / "early.db")
        edge = follow("tokyo-1")
        wait_until(level(client, "tokyo-1"))
    control.end()
    restore(tmp_path / "early.db", control.journal)
    with start_again(control) as client:
        wait_until(level(client, "tokyo-1"))
        wait_until(lambda: following(edge)["revision"] == 1)
        assert edges(client)["tokyo-1"]["revision"] == 1
    assert serves(edge)()


def test_a_configuration_that_an_edge_cannot_use_holds_up_no_purge(
    client: httpx.Client,
    origin: Origin,
    follow: Follow,
) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(serves(edge))
    # Whether there are credentials is known on the edge alone.
    distribution = '[distributions.shop]\nhosts = ["shop.test"]\nbehaviors = [{ origin = "site" }]\n'
    text = f'[origins]\nsite = "s3://bucket"\n{distribution}'
    client.post("/v1/configurations", json={"text": text})
    client.post("/v1/invalidations", json={"selectors": ["https://shop.test/a"]})
    wait_until(level(client, "tokyo-1"))
    assert edges(client)["tokyo-1"]["revision"] == 2


def test_without_a_token_or_with_another_ones(
    command: Callable[..., EdgeCommand], control: ControlProcess, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="BODEGA_TOKEN"):
        command("--control", control.url)
    with pytest.raises(AssertionError, match="no URL of a control process"):
        command("--control", "control.example.com")
    with control.client() as client:
        made = client.post("/v1/tokens", json={"name": "ci", "scopes": ["purge"]}).json()
    path = tmp_path / "ci.token"
    path.write_text(made["token"])
    edge = command(
        "--listen", "127.0.0.1:0", "--admin", "off", "--control", control.url, "--control-token-file", str(path)
    )
    edge.wait_said('has not the scope "edges"')
    assert not edge.has_said(made["token"])
