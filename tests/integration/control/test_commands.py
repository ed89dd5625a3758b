"""The commands that people and programs have for a fleet, run as processes against a real control process."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.control.conftest import SECONDS, ControlProcess, beat, register
from tests.integration.control.test_nouns import CONFIGURATION
from tests.integration.edge.conftest import EdgeCommand, Origin, command, origin, wait_until

from bodega import Fleet

__all__ = ["command", "origin"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(control: ControlProcess, tmp_path: Path) -> Run:
    """Type a command where the control process is found by itself."""
    environment = {**control.environment, "COLUMNS": "200"}
    for name in ("BODEGA_CONTROL", "BODEGA_TOKEN"):
        environment.pop(name, None)

    def typed(*arguments: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bodega", *arguments],
            input=said,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env={**environment, **more},
            check=False,
        )

    return typed


def answered(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# Purge.


@pytest.fixture
def edges(
    fleet: Fleet, origin: Origin, command: Callable[..., EdgeCommand], control: ControlProcess
) -> dict[str, EdgeCommand]:
    """Two real edges of a fleet that serve `shop.test`."""
    origin.headers["Cache-Control"] = "max-age=3600"
    fleet.configurations.publish(CONFIGURATION.replace("http://127.0.0.1:9000", origin.url))
    token = control.journal.with_name("edges.token")
    token.write_text(fleet.tokens.make("edges", ["edges"]).token)
    link = ("--control", control.url, "--control-token-file", str(token))
    usual = ("--listen", "127.0.0.1:0", "--admin", "off", *link)
    started = {name: command(*usual, "--name", name) for name in ("tokyo-1", "paris-1")}
    wait_until(lambda: sum(each.is_here and each.behind == 0 for each in fleet.edges.list()) == len(started))
    return started


def is_hit(edge: EdgeCommand) -> bool:
    answer = httpx.get(f"{edge.url}/a", headers={"Host": "shop.example.com"}, trust_env=False)
    return "; hit" in answer.headers.get("cache-status", "")


def test_a_purge_is_watched_until_every_edge_has_it(run: Run, edges: dict[str, EdgeCommand]) -> None:
    for edge in edges.values():
        wait_until(lambda edge=edge: is_hit(edge))  # type: ignore[misc]
    done = run("purge", "https://shop.example.com/a", "--wait", "--timeout", "30s")
    assert done.returncode == 0, done.stderr
    assert "forgotten on 2 of 2 edges: https://shop.example.com/a" in done.stdout
    assert "half after" in done.stdout
    assert "99 % after" in done.stdout
    assert "the last (" in done.stdout
    # Without a terminal each edge is a line.
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == ["paris-1", "tokyo-1"]
    assert [is_hit(edge) for edge in edges.values()] == [False, False]

    [report] = answered(run("purge", "tag:a", "--wait", "--json"))
    assert sorted(report["applied_ms"]) == ["paris-1", "tokyo-1"]
    assert 0 < report["half_ms"] <= report["p99_ms"] == report["last_ms"]
    assert (report["is_complete"], report["waiting"], report["away"]) == (True, [], [])


def test_an_edge_that_is_away_is_named_and_gets_it_when_it_is_back(
    run: Run, fleet: Fleet, edges: dict[str, EdgeCommand]
) -> None:
    edges["tokyo-1"].process.send_signal(signal.SIGSTOP)
    try:
        done = run("purge", "tag:a", "--wait", "--timeout", "25s")
        assert done.returncode == 0, done.stderr
        assert "forgotten on 1 of 1 edge: tag:a" in done.stdout
        assert "away: tokyo-1; it is applied before anything else once they are back" in done.stdout
        assert "no behavior is `strict`" in done.stdout
    finally:
        edges["tokyo-1"].process.send_signal(signal.SIGCONT)
    [purge] = fleet.purges()
    wait_until(lambda: "tokyo-1" in fleet.purge(purge.id).progress().applied)
    again = run("purge", "status", purge.id)
    assert again.returncode == 0, again.stderr
    assert "forgotten on 2 of 2 edges" in again.stdout


def test_how_long_an_edge_that_is_away_may_serve_it_is_said_where_a_behavior_is_strict(
    run: Run, fleet: Fleet, client: httpx.Client
) -> None:
    one = "{ path = '/a', policy = { strict = '3s' }, origin = 'site' }"
    other = "{ origin = 'site', policy = { strict = '5s' } }"
    fleet.configurations.publish(re.sub(r"behaviors = .*", f"behaviors = [{one}, {other}]", CONFIGURATION))
    for edge, revision in (("tokyo-1", 1), ("paris-1", None)):
        register(client, edge)
        said = {"instance": "instance-1", "revision": revision}
        assert client.post(f"/v1/edges/{edge}/heartbeat", json=said).status_code == 200
    wait_until(lambda: not any(each.is_here for each in fleet.edges.list()))
    done = run("purge", "tag:a", "--wait")
    assert done.returncode == 0, done.stderr
    assert "away: paris-1, tokyo-1" in done.stdout
    # Nobody knows whether what is strict in force is so there.
    assert "not bound, as they may serve an earlier configuration: paris-1\n" in done.stdout
    assert "until then they may serve it where a behavior is not `strict`; where it is, not after " in done.stdout
    [purge] = fleet.purges()
    [report] = answered(run("purge", "status", purge.id, "--json"))
    assert report["strict_seconds"] == 5.0
    # From when it was known, which is a little after it was written.
    assert report["time_ms"] + 5_000 <= report["strict_not_after_ms"] <= report["time_ms"] + 5_000 + SECONDS * 1000
    assert report["away"] == ["paris-1", "tokyo-1"]
    assert report["unbound"] == ["paris-1"]


def test_somebody_at_a_terminal_sees_a_bar(
    client: httpx.Client, fleet: Fleet, control: ControlProcess, tmp_path: Path
) -> None:
    register(client, "tokyo-1", heard_every_seconds=30.0)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bodega", "purge", "tag:a", "--wait"]
    environment = {**control.environment, "TERM": "xterm", "COLUMNS": "120"}
    seen = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, cwd=tmp_path) as process:
        os.close(theirs)
        while b"waiting for tokyo-1" not in seen:
            seen += os.read(ours, 1 << 16)
        beat(client, "tokyo-1", fleet.purges()[0].position, heard_every_seconds=30.0)
        with contextlib.suppress(OSError):
            # The end of a terminal that nobody holds any more is an error.
            while more := os.read(ours, 1 << 16):
                seen += more
        assert process.stdout is not None
        assert b"forgotten on 1 of 1 edge: tag:a" in process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert b"0/1" in seen


def test_one_that_takes_too_long_has_an_exit_status_of_its_own(run: Run, client: httpx.Client) -> None:
    register(client, "tokyo-1", heard_every_seconds=30.0)
    late = run("purge", "tag:a", "--timeout", "100ms")
    assert late.returncode == 3
    assert "not yet: tokyo-1" in late.stdout
    purge = client.get("/v1/invalidations").json()[0]
    assert f"bodega purge status {purge['id']} --wait" in late.stderr
    # Somebody who only looks has not failed.
    looked = run("purge", "--status", purge["id"], "--json")
    assert answered(looked)[0]["waiting"] == ["tokyo-1"]
    beat(client, "tokyo-1", purge["position"], heard_every_seconds=30.0)
    assert run("purge", "--status", purge["id"], "--wait").returncode == 0


@pytest.mark.parametrize("selector", ["all", "tag:*", "glob:*/*", "prefix:https://shop.example.com/"])
def test_what_reaches_everything_has_to_be_confirmed(run: Run, fleet: Fleet, selector: str) -> None:
    refused = run("purge", selector)
    assert refused.returncode == 4
    assert "`--yes`" in refused.stderr
    assert fleet.purges() == []
    assert run("purge", selector, "--yes").returncode == 0
    assert [each.selectors for each in fleet.purges()] == [(selector,)]


def test_edges_without_a_control_process_are_asked_for_it_too(
    run: Run, origin: Origin, command: Callable[..., EdgeCommand], control: ControlProcess
) -> None:
    edge = command("--origin", origin.url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    admin = edge.said["admin"]
    assert run("purge", "all", "--edge", admin).returncode == 4
    done = run("purge", "all", "--yes", "--edge", admin)
    assert (done.returncode, done.stdout) == (0, "forgotten on 1 edge: everything\n"), done.stderr


def test_many_selectors_come_from_a_file_or_from_a_pipe(run: Run, fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "deleted.txt"
    file.write_text("# of last night\n" + "".join(f"tag:product:{number}\n\n" for number in range(2_500)))
    [report] = answered(run("purge", "--from", str(file), "--json"))
    assert len(report["ids"]) == 3
    assert sum(len(each.selectors) for each in fleet.purges()) == 2_500
    assert run("purge", "--from", "-", said="tag:a\ntag:b\n").returncode == 0
    assert fleet.purges()[0].selectors == ("tag:a", "tag:b")
    # Nobody can be asked where what is to be forgotten comes from standard input.
    assert run("purge", "--from", "-", said="all\n").returncode == 4


def test_invalidate_is_the_same_command(run: Run, fleet: Fleet) -> None:
    assert run("invalidate", "tag:a", "--soft").returncode == 0
    assert fleet.purges()[0].soft


# Edges and tokens.


def test_the_invitation_is_the_command_that_makes_an_edge(
    run: Run, fleet: Fleet, control: ControlProcess, tmp_path: Path
) -> None:
    assert "has no edges" in run("edges").stdout
    invited = run("edges", "invite", "tokyo-1", "--region", "ap-northeast-1")
    assert invited.returncode == 0, invited.stderr
    assert "shown this once" in invited.stderr
    assigned, *words = shlex.split(invited.stdout)
    token = assigned.removeprefix("BODEGA_TOKEN=")
    assert words[:2] == ["bodega", "edge"]
    # It is typed as it was printed, but for what else is on this machine.
    started = subprocess.Popen(
        [sys.executable, "-m", *words, "--listen", "127.0.0.1:0", "--admin", "off"],
        env={**control.environment, "BODEGA_TOKEN": token},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: [each.name for each in fleet.edges.list() if each.is_here] == ["tokyo-1"])
        shown = run("edges", "ls").stdout.split()
        assert shown[shown.index("tokyo-1") :][:3] == ["tokyo-1", "ap-northeast-1", "regional"]
        assert run("edges", "drain", "tokyo-1").stdout == "tokyo-1: drained\n"
        assert answered(run("edges", "ls", "--json"))[0]["drained"]
        assert run("edges", "resume", "tokyo-1").stdout == "tokyo-1: gets clients\n"
        removed = run("edges", "remove", "tokyo-1", "nowhere")
        assert (removed.returncode, removed.stdout) == (1, "tokyo-1: removed\n")
        assert 'no edge "nowhere"' in removed.stderr
    finally:
        started.terminate()
        started.wait(SECONDS)
    assert fleet.edges.list() == []


def test_a_token_is_shown_once_or_written_for_its_owner_alone(
    run: Run, control: ControlProcess, tmp_path: Path
) -> None:
    shown = run("tokens", "make", "ci", "--scope", "purge", "--expires-in", "30d")
    token = shown.stdout.strip()
    assert token.startswith("bdg_")
    assert run("purge", "tag:a", BODEGA_TOKEN=token).returncode == 0
    refused = run("publish", "-", said=CONFIGURATION, BODEGA_TOKEN=token)
    assert refused.returncode == 1
    assert 'the token "ci" has not the scope "publish"' in refused.stderr

    file = tmp_path / "deploy.token"
    assert run("tokens", "make", "deploy", "-s", "publish", "--file", str(file)).stdout == ""
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("publish", "-", "--token-file", str(file), said=CONFIGURATION).returncode == 0
    assert "is there already" in run("tokens", "make", "deploy", "-s", "publish", "--file", str(file)).stderr

    listed = {each["name"]: each for each in answered(run("tokens", "ls", "--json"))}
    assert list(listed) == ["first", "ci", "deploy"]
    assert token not in run("tokens", "ls").stdout
    assert run("tokens", "revoke", listed["ci"]["id"]).returncode == 0
    assert "no token that is known here" in run("purge", "tag:a", BODEGA_TOKEN=token).stderr
    # What was refused is told, with who and what, and never with a token.
    [line] = [json.loads(each) for each in control.errors().splitlines() if '"refused"' in each]
    assert (line["by"], line["method"], line["path"], line["needs"]) == ("ci", "POST", "/v1/configurations", "publish")
    assert line["token_id"] == listed["ci"]["id"]
    assert token not in control.errors()


# Configurations, and who changed what.


def test_configurations_are_published_compared_and_taken_back(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION)
    assert "it would be revision 1" in run("publish", "site.toml", "--dry-run").stdout
    assert "nothing was published yet" in run("revisions", "ls").stdout
    assert "revision 1 is in force" in run("publish", "site.toml", "-m", "begun", "--expects", "0").stdout
    file.write_text(CONFIGURATION.replace("9000", "9001"))
    assert answered(run("publish", "site.toml", "--json"))[0]["revision"] == 2
    assert '+site = "http://127.0.0.1:9001"' in run("revisions", "diff", "1", "2").stdout
    assert "revision 3 is in force: it is revision 1 again" in run("revisions", "roll-back", "1").stdout
    assert run("revisions", "show").stdout.strip() == CONFIGURATION.strip()
    assert [each["revision"] for each in answered(run("revisions", "ls", "--json"))] == [3, 2, 1]
    conflict = run("publish", "site.toml", "--expects", "2")
    assert conflict.returncode == 1
    assert "revision 3 is in force, not 2" in conflict.stderr

    file.write_text(CONFIGURATION.replace('policy = "web"', 'policy = "wob"'))
    wrong = run("publish", "site.toml")
    assert wrong.returncode == 2
    assert "site.toml:7: distributions.shop.behaviors[0].policy" in wrong.stderr

    events = answered(run("audit", "--type", "configuration", "--json"))
    assert [each["data"]["revision"] for each in events] == [1, 2, 3]
    assert {each["by"] for each in events} == {"first"}
    assert [each["type"] for each in answered(run("audit", "--after", "0", "--limit", "1", "--json"))] == [
        "token.created"
    ]
    assert "configuration.published" in run("audit", "--by", "first").stdout
