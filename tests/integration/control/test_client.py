"""What a program does with a fleet from Python, against a real control process."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess, beat, register
from tests.integration.control.test_nouns import CONFIGURATION

import bodega
from bodega import Behavior, Distribution, Fleet
from bodega.client import find_control
from bodega.errors import ConfigInvalid, ControlNotFound, ControlRefused, PurgeUnfinished, SelectorInvalid

AWAY = "http://127.0.0.1:1"


def position(fleet: Fleet) -> int:
    return fleet.health().position


# Invalidations.


def test_a_purge_is_waited_for(fleet: Fleet, client: httpx.Client) -> None:
    for name in ("tokyo-1", "paris-1"):
        register(client, name)
    purge = fleet.invalidate(
        urls=["https://shop.example.com/x"],
        tags=["user:123:*"],
        prefixes=["https://shop.example.com/images/"],
        patterns=["shop.example.com/*.webp"],
        models=["fraud"],
        selectors=["distribution:shop"],
    )
    begun = purge.progress()
    assert begun.selectors == (
        "https://shop.example.com/x",
        "tag:user:123:*",
        "prefix:https://shop.example.com/images/",
        "glob:shop.example.com/*.webp",
        "model:fraud",
        "distribution:shop",
    )
    assert (begun.waiting, begun.is_complete, begun.n_edges) == (("paris-1", "tokyo-1"), False, 2)
    acknowledged = [
        threading.Timer(0.1 * number, beat, (client, name, begun.position))
        for number, name in enumerate(("tokyo-1", "paris-1"), start=1)
    ]
    for timer in acknowledged:
        timer.start()
    done = purge.wait(timeout=30)
    for timer in acknowledged:
        timer.join()
    assert done.is_complete
    assert list(done.applied) == ["tokyo-1", "paris-1"]
    assert done.milliseconds(0.5) == done.applied["tokyo-1"]
    assert done.milliseconds(1.0) == done.applied["paris-1"]
    # Another one finds it again by its id.
    assert fleet.purge(purge.id).progress().is_complete
    assert [each.id for each in fleet.purges()] == [purge.id]


async def test_a_purge_is_awaited(fleet: Fleet, client: httpx.Client) -> None:
    register(client, "tokyo-1")
    purge = await asyncio.to_thread(fleet.invalidate, tags=["a"])
    waiting = asyncio.ensure_future(purge)
    # The loop is free for others meanwhile.
    await asyncio.to_thread(beat, client, "tokyo-1", purge.progress().position)
    assert (await waiting).applied.keys() == {"tokyo-1"}


def test_one_that_takes_too_long_says_who_is_missing(fleet: Fleet, client: httpx.Client) -> None:
    register(client, "tokyo-1", heard_every_seconds=30.0)
    purge = fleet.invalidate(selectors=["all"])
    with pytest.raises(PurgeUnfinished, match=r"1 of 1 edges .* tokyo-1") as unfinished:
        purge.wait(timeout="200ms")
    assert unfinished.value.waiting == ("tokyo-1",)
    assert isinstance(unfinished.value, TimeoutError)
    assert purge.id in unfinished.value.hint


def test_many_selectors_go_in_several_calls(fleet: Fleet) -> None:
    before = position(fleet)
    purge = fleet.invalidate(tags=[f"product:{number}" for number in range(2_500)])
    assert len(purge.ids) == 3
    assert position(fleet) == before + 3
    assert [len(fleet.purge(each).progress().selectors) for each in purge.ids] == [1000, 1000, 500]
    # Long ones fill a call before there are 1,000 of them.
    folders = [f"https://shop.example.com/{number:04}/{'x' * 1900}" for number in range(1_000)]
    assert len(fleet.invalidate(urls=folders).ids) == 3


def test_a_key_counts_once(fleet: Fleet) -> None:
    assert fleet.invalidate(tags=["a"], key="deploy-17").id == fleet.invalidate(tags=["a"], key="deploy-17").id
    assert fleet.invalidate(tags=["a"]).id != fleet.invalidate(tags=["a"]).id


def test_what_names_nothing_is_refused_before_anything_is_sent(fleet: Fleet) -> None:
    before = position(fleet)
    with pytest.raises(SelectorInvalid, match="nothing is named"):
        fleet.invalidate()
    with pytest.raises(SelectorInvalid, match="is a list"):
        fleet.invalidate(tags="product:42")
    with pytest.raises(SelectorInvalid, match="did you mean"):
        fleet.invalidate(selectors=["tag:a", "shop.example.com"])
    assert position(fleet) == before


def test_a_cut_in_between_is_survived_and_counts_once(control: ControlProcess) -> None:
    """The answer to the first question is lost: the same question again is the same event."""
    address = ("127.0.0.1", int(control.url.rsplit(":", 1)[1]))
    with socket.create_server(("127.0.0.1", 0)) as front:
        url = f"http://127.0.0.1:{front.getsockname()[1]}"

        def forward() -> None:
            for is_answered in (False, True):
                inside, _ = front.accept()
                with inside, socket.create_connection(address) as outside:
                    asked = b""
                    while b'"key": "' not in asked or not asked.endswith(b"}"):
                        asked += inside.recv(1 << 16)
                    outside.sendall(asked.replace(b"Accept: ", b"Connection: close\r\nAccept: ", 1))
                    answer = b"".join(iter(lambda: outside.recv(1 << 16), b""))
                    if is_answered:
                        inside.sendall(answer)

        thread = threading.Thread(target=forward)
        thread.start()
        with bodega.connect(url, control.token) as fleet:
            purge = fleet.invalidate(tags=["a"])
        thread.join()
    with bodega.connect(control.url, control.token) as fleet:
        assert [each.id for each in fleet.purges()] == [purge.id]


# The rest of a fleet.


def test_an_edge_is_invited_and_its_token_is_for_it_alone(
    control: ControlProcess, fleet: Fleet, client: httpx.Client
) -> None:
    invited = fleet.edges.invite("tokyo-1", region="ap-northeast-1", place=(35.7, 139.7), capacity=2.0, kind="shield")
    assert invited.command == (
        f"BODEGA_TOKEN={invited.token} bodega edge --control {control.url} --name tokyo-1 "
        "--region ap-northeast-1 --kind shield --place 35.7,139.7 --capacity 2"
    )
    assert invited.token not in repr(invited)
    with control.client(invited.token) as edge:
        assert register(edge, "tokyo-1").status_code == 200
        assert beat(edge, "tokyo-1").status_code == 200
        assert edge.get("/v1/edges/tokyo-1/configuration").status_code == 404
        with edge.stream("GET", "/v1/journal/stream") as stream:
            assert stream.status_code == 200
        for method, path in [
            ("PUT", "/v1/edges/paris-1"),
            ("POST", "/v1/edges/paris-1/heartbeat"),
            ("GET", "/v1/edges/paris-1/configuration"),
            ("GET", "/v1/edges"),
            ("GET", "/v1/edges/tokyo-1"),
            ("GET", "/v1/journal/events"),
            ("POST", "/v1/edges/tokyo-1/drain"),
        ]:
            said = {"instance": "instance-1", "region": "x"}
            refused = edge.request(method, path, json=said)
            assert refused.status_code == 403, (path, refused.text)
            assert '"tokyo-1" alone' in refused.json()["error"]
    assert fleet.edges.show("tokyo-1").is_here
    with pytest.raises(ControlRefused, match="belongs to the fleet already"):
        fleet.edges.invite("tokyo-1")
    # Once it is taken out, it cannot come back by itself.
    fleet.edges.remove("tokyo-1")
    with control.client(invited.token) as edge:
        assert register(edge, "tokyo-1").status_code == 401


def test_an_earlier_invitation_ends_with_the_next(control: ControlProcess, fleet: Fleet) -> None:
    first, second = fleet.edges.invite("tokyo-1"), fleet.edges.invite("tokyo-1")
    for token, status in ((first.token, 401), (second.token, 200)):
        with control.client(token) as edge:
            assert register(edge, "tokyo-1").status_code == status


def test_edges_are_listed_drained_and_resumed(fleet: Fleet, client: httpx.Client) -> None:
    register(client, "tokyo-1", place=[35.7, 139.7])
    [edge] = fleet.edges.list()
    assert (edge.name, edge.place, edge.is_here) == ("tokyo-1", (35.7, 139.7), True)
    assert fleet.edges.drain("tokyo-1").drained
    assert not fleet.edges.resume("tokyo-1").drained
    with pytest.raises(ControlRefused, match="no edge") as refused:
        fleet.edges.show("nowhere")
    assert refused.value.status == 404


def test_a_configuration_is_published_as_text_as_a_file_and_as_nouns(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.configurations.validate(CONFIGURATION).revision == 1
    assert fleet.configurations.history() == []
    assert fleet.configurations.publish(CONFIGURATION, comment="begun", expects=0).revision == 1
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION.replace("9000", "9001"))
    assert fleet.configurations.publish(file).revision == 2
    shop = Distribution("shop", hosts=["shop.example.com"], behaviors=[Behavior(origin="http://127.0.0.1:9002")])
    assert fleet.configurations.publish(shop).is_in_force
    assert "9002" in fleet.configurations.show().text
    assert '+site = "http://127.0.0.1:9001"' in fleet.configurations.diff(1, 2)
    back = fleet.configurations.roll_back(1)
    assert (back.revision, back.rolled_back_to) == (4, 1)
    assert [each.revision for each in fleet.configurations.history()] == [4, 3, 2, 1]
    with pytest.raises(ControlRefused, match="revision 4 is in force") as refused:
        fleet.configurations.publish(CONFIGURATION, expects=3)
    assert refused.value.status == 409


def test_what_is_wrong_with_a_file_is_said_by_its_name_and_line(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(CONFIGURATION.replace('policy = "web"', 'policy = "wob"'))
    with pytest.raises(ConfigInvalid) as invalid:
        fleet.configurations.publish(file)
    assert str(invalid.value).startswith(f"{file}:7: distributions.shop.behaviors[0].policy: ")
    assert fleet.configurations.history() == []


def test_tokens_are_made_listed_and_revoked(fleet: Fleet, control: ControlProcess) -> None:
    made = fleet.tokens.make("ci", ["purge"], expires_in="30d")
    assert made.token not in repr(made)
    assert {each.name: each.scopes for each in fleet.tokens.list()} == {"first": ("admin",), "ci": ("purge",)}
    with bodega.connect(control.url, made.token) as narrow:
        assert narrow.invalidate(tags=["a"]).id
        with pytest.raises(ControlRefused, match='has not the scope "publish"') as refused:
            narrow.configurations.publish(CONFIGURATION)
        assert refused.value.status == 403
        fleet.tokens.revoke(made.id)
        with pytest.raises(ControlRefused) as unknown:
            narrow.invalidate(tags=["a"])
        assert unknown.value.status == 401
    # The secret's own characters may have a line under them, too.
    assert made.token.split("_", 2)[2] not in control.errors()


def test_who_changed_what_is_told(fleet: Fleet, client: httpx.Client) -> None:
    for number in range(5):
        fleet.invalidate(tags=[f"a:{number}"])
    newest = fleet.audit(limit=2)
    assert [each.data["selectors"] for each in newest] == [["tag:a:3"], ["tag:a:4"]]
    assert [(each.type, each.by) for each in fleet.audit(after=0, limit=1)] == [("token.created", "bodega control")]
    assert len(fleet.audit(after=0)) == 6


# Finding it.


def test_what_runs_here_is_found_with_its_token(control: ControlProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BODEGA_CONTROL", "BODEGA_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BODEGA_RUNTIME_DIR", control.environment["BODEGA_RUNTIME_DIR"])
    with bodega.connect() as fleet:
        assert (fleet.url, fleet.edges.list()) == (control.url, [])
    # Also where it is named; but what is named otherwise does not get its token.
    found = find_control({**control.environment, "BODEGA_CONTROL": control.url})
    assert found is not None
    assert found.token == control.token
    other = find_control({**control.environment, "BODEGA_CONTROL": AWAY})
    assert other is not None
    assert other.token is None
    control.end()
    with pytest.raises(ControlNotFound, match="no control process of yours runs here"):
        bodega.connect()


def test_nobody_answers() -> None:
    fleet = bodega.connect(AWAY, "bdg_x", timeout="1s")
    with pytest.raises(ControlNotFound, match="no control process answers"):
        fleet.edges.list()
    with pytest.raises(ControlNotFound, match=f"no control process answers at {re.escape(AWAY)}"):
        fleet.configurations.publish(CONFIGURATION)


def test_what_may_be_asked_twice_waits_for_a_control_process_that_is_starting_again(control: ControlProcess) -> None:
    with bodega.connect(control.url, control.token) as fleet:
        assert fleet.edges.list() == []
        listen = control.url.removeprefix("http://")
        control.end(signal.SIGKILL)
        again = threading.Timer(0.5, control.start, ("--listen", listen))
        again.start()
        assert fleet.edges.list() == []
        again.join()


def test_a_token_does_not_go_to_another_machine_in_plain() -> None:
    with pytest.raises(ConfigInvalid, match="would show the token"):
        bodega.connect("http://control.example.com:9280", "bdg_x")
    assert bodega.connect("http://control.example.com:9280", "bdg_x", insecure=True).url
    assert bodega.connect("https://control.example.com", "bdg_x").url
    with pytest.raises(ConfigInvalid, match="no URL of a control process"):
        bodega.connect("control.example.com", "bdg_x")
