"""Edges, configurations, invalidations, tokens, and the stream, as a client meets them."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess, beat, lines, register

CONFIGURATION = """
[origins]
site = "http://127.0.0.1:9000"

[distributions.shop]
hosts = ["shop.example.com"]
behaviors = [{ origin = "site", policy = "web" }]
"""


def made(client: httpx.Client, *scopes: str, **more: Any) -> dict[str, Any]:
    """Make a token."""
    answer = client.post("/v1/tokens", json={"name": "-".join(scopes), "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    token: dict[str, Any] = answer.json()
    return token


# Edges.


def test_an_edge_joins_says_how_far_it_is_and_goes(client: httpx.Client) -> None:
    register(client, "tokyo-1", place=[35.7, 139.7], capacity=2.0, kind="shield")
    assert beat(client, "tokyo-1", 1).json().items() >= {"position": 2, "drained": False}.items()
    [edge] = client.get("/v1/edges").json()
    assert (edge["place"], edge["capacity"], edge["kind"]) == ([35.7, 139.7], 2.0, "shield")
    assert (edge["is_here"], edge["position"], edge["behind"]) == (True, 1, 1)

    assert client.post("/v1/edges/tokyo-1/drain").json()["drained"]
    assert beat(client, "tokyo-1", 3).json()["drained"]
    # What it says of itself again changes nothing of that.
    register(client, "tokyo-1", capacity=3.0)
    assert client.get("/v1/edges").json()[0]["drained"]
    client.post("/v1/edges/tokyo-1/resume")
    assert not beat(client, "tokyo-1").json()["drained"]

    assert client.delete("/v1/edges/tokyo-1").status_code == 204
    assert client.get("/v1/edges").json() == []
    assert beat(client, "tokyo-1").status_code == 404
    assert client.post("/v1/edges/tokyo-1/drain").status_code == 404


def test_an_edge_is_told_of_which_journal_a_position_is(client: httpx.Client) -> None:
    register(client, "tokyo-1")
    heard = beat(client, "tokyo-1").json()
    [hello] = lines(client, 1)
    assert {name: heard[name] for name in ("journal", "epoch")} == {name: hello[name] for name in ("journal", "epoch")}


def test_saying_the_same_again_is_no_event(client: httpx.Client) -> None:
    for _ in range(3):
        register(client, "tokyo-1")
    assert client.get("/health").json()["position"] == 2


def test_two_edges_with_one_name(client: httpx.Client) -> None:
    register(client, "tokyo-1", instance="instance-a")
    refused = register(client, "tokyo-1", instance="instance-b")
    assert refused.status_code == 409
    assert '"tokyo-1" is here' in refused.json()["error"]
    assert beat(client, "tokyo-1", instance="instance-b").status_code == 409
    # The one that is here goes on.
    assert beat(client, "tokyo-1", instance="instance-a").status_code == 200


def test_one_that_takes_over_says_from_whom(client: httpx.Client) -> None:
    register(client, "tokyo-1", instance="instance-a")
    assert register(client, "tokyo-1", instance="instance-b", replaces="instance-c").status_code == 409
    assert register(client, "tokyo-1", instance="instance-b", replaces="instance-a").status_code == 200
    # The name is the other one's from then on.
    assert beat(client, "tokyo-1", instance="instance-a").status_code == 409
    assert register(client, "tokyo-1", instance="instance-a").status_code == 409
    assert beat(client, "tokyo-1", instance="instance-b").status_code == 200


def test_what_an_edge_of_a_later_version_says_is_no_mistake(client: httpx.Client) -> None:
    said = {"instance": "instance-1", "region": "x", "version": "9.9", "of_later": {"a": [1]}}
    assert client.put("/v1/edges/tokyo-1", json=said).status_code == 200
    beaten = client.post("/v1/edges/tokyo-1/heartbeat", json={"instance": "instance-1", "of_later": True})
    assert beaten.status_code == 200
    [edge] = client.get("/v1/edges").json()
    assert edge["version"] == "9.9"
    # Nobody else may say more than is known.
    assert client.post("/v1/invalidations", json={"selectors": ["all"], "of_later": 1}).status_code == 422


def test_a_name_is_free_once_its_edge_is_away(client: httpx.Client) -> None:
    register(client, "tokyo-1", instance="instance-a")
    until = time.monotonic() + 30
    while register(client, "tokyo-1", instance="instance-b").status_code == 409:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert client.get("/v1/edges").json()[0]["is_here"]


@pytest.mark.parametrize("name", ["Tokyo", "-a", "a" * 64, "a_b", "a%20b"])
def test_a_name_that_is_none(client: httpx.Client, name: str) -> None:
    assert register(client, name).status_code == 422


# Configurations.


def test_publish_compare_and_go_back(client: httpx.Client) -> None:
    other = CONFIGURATION.replace("9000", "9001")
    first = client.post("/v1/configurations", json={"text": CONFIGURATION, "comment": "begun"})
    assert (first.status_code, first.json()["revision"]) == (201, 1)
    assert client.post("/v1/configurations", json={"text": other, "expects": 1}).json()["revision"] == 2

    difference = client.get("/v1/configurations/1/diff").text
    assert '-site = "http://127.0.0.1:9000"\n+site = "http://127.0.0.1:9001"\n' in difference
    back = client.post("/v1/configurations/1/roll-back").json()
    assert (back["revision"], back["rolled_back_to"], back["is_in_force"]) == (3, 1, True)
    assert client.get("/v1/configurations/0").json()["text"] == CONFIGURATION
    history = client.get("/v1/configurations").json()
    assert [(each["revision"], each["is_in_force"], each["by"]) for each in history] == [
        (3, True, "first"),
        (2, False, "first"),
        (1, False, "first"),
    ]


def test_one_that_cannot_be_used_changes_nothing(client: httpx.Client) -> None:
    wrong = CONFIGURATION.replace('policy = "web"', 'policy = "wob"')
    refused = client.post("/v1/configurations", json={"text": wrong})
    assert refused.status_code == 422
    [problem] = refused.json()["problems"]
    assert "wob" in problem["what"]
    assert problem["where"].startswith("configuration:7: distributions.shop.behaviors[0].policy")
    assert client.post("/v1/configurations", json={"text": "x = ["}).status_code == 422
    with_edge = client.post("/v1/configurations", json={"text": '[edge]\nmemory = "1GB"\n' + CONFIGURATION})
    assert "[edge]" in with_edge.json()["problems"][0]["what"]
    assert client.get("/v1/configurations/0").status_code == 404
    assert client.get("/health").json()["position"] == 1


def test_who_did_not_see_the_newest_is_told(client: httpx.Client) -> None:
    client.post("/v1/configurations", json={"text": CONFIGURATION})
    refused = client.post("/v1/configurations", json={"text": CONFIGURATION, "expects": 0})
    assert refused.status_code == 409
    assert "revision 1 is in force" in refused.json()["error"]


def test_a_trial_changes_nothing(client: httpx.Client) -> None:
    trial = client.post("/v1/configurations", json={"text": CONFIGURATION, "dry_run": True})
    assert trial.json()["revision"] == 1
    assert client.get("/v1/configurations").json() == []


def test_of_two_who_publish_at_once_both_are_there(client: httpx.Client) -> None:
    threads = [
        threading.Thread(target=client.post, args=("/v1/configurations",), kwargs={"json": {"text": CONFIGURATION}})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each["revision"] for each in client.get("/v1/configurations").json()] == list(range(8, 0, -1))


def test_an_edge_fetches_the_one_for_it(client: httpx.Client) -> None:
    client.post("/v1/configurations", json={"text": CONFIGURATION})
    assert client.get("/v1/edges/tokyo-1/configuration").status_code == 404
    register(client, "tokyo-1")
    assert client.get("/v1/edges/tokyo-1/configuration", params={"revision": 1}).json()["text"] == CONFIGURATION


def test_what_an_edge_said_before_something_that_was_heard_is_passed_over(client: httpx.Client) -> None:
    register(client, "tokyo-1")

    def say(number: int, **more: Any) -> None:
        said = {"instance": "instance-1", "number": number, **more}
        assert client.post("/v1/edges/tokyo-1/heartbeat", json=said).status_code == 200

    say(2, hit_rate=0.5)
    say(1, hit_rate=0.25)
    [edge] = client.get("/v1/edges").json()
    assert edge["hit_rate"] == 0.5
    # Whoever says that it leaves has left, whatever comes after it that was said before.
    say(4, leaves=True)
    say(3)
    assert not client.get("/v1/edges").json()[0]["is_here"]
    # Another process begins anew.
    register(client, "tokyo-1", instance="instance-2")
    beaten = client.post("/v1/edges/tokyo-1/heartbeat", json={"instance": "instance-2", "number": 1, "hit_rate": 1})
    assert beaten.status_code == 200
    assert client.get("/v1/edges").json()[0]["hit_rate"] == 1


# Invalidations.


def test_an_edge_is_told_of_nothing_that_it_does_not_serve(client: httpx.Client) -> None:
    text = """
[origins]
tokyo = "https://tokyo.example.com"
site = { regions = { "ap-*" = "tokyo" }, otherwise = "https://dublin.example.com" }
[distributions.shop]
hosts = ["shop.example.com"]
behaviors = [{ origin = "site" }]
[distributions.press]
hosts = ["press.example.com"]
edges = ["region:eu-*"]
behaviors = [{ origin = "https://press.example.com" }]
"""
    assert client.post("/v1/configurations", json={"text": text}).status_code == 201
    told = {}
    for edge, region in (("tokyo-1", "ap-northeast-1"), ("london-1", "eu-west-2")):
        assert client.put(f"/v1/edges/{edge}", json={"instance": "instance-1", "region": region}).status_code == 200
        answer = client.get(f"/v1/edges/{edge}/configuration").json()
        assert answer["revision"] == 1
        told[edge] = answer["text"]
    assert "press" not in told["tokyo-1"]
    assert "dublin" not in told["tokyo-1"]
    assert "press.example.com" in told["london-1"]
    assert "tokyo" not in told["london-1"]
    # What was published is kept as it was written.
    assert client.get("/v1/configurations/1").json()["text"] == text


def test_how_far_one_has_come(client: httpx.Client) -> None:
    for edge in ("tokyo-1", "paris-1"):
        register(client, edge)
    for edge in ("tokyo-1", "paris-1"):
        beat(client, edge, 3)
    asked = client.post("/v1/invalidations", json={"selectors": ["tag:a", "https://shop.example.com/x"], "soft": True})
    assert asked.status_code == 202
    purge = asked.json()
    assert (purge["waiting"], purge["is_complete"], purge["soft"]) == (["paris-1", "tokyo-1"], False, True)

    beat(client, "tokyo-1", purge["position"])
    said = client.get(f"/v1/invalidations/{purge['id']}").json()
    assert (said["waiting"], list(said["applied"])) == (["paris-1"], ["tokyo-1"])
    later = threading.Timer(0.2, lambda: beat(client, "paris-1", purge["position"]))
    later.start()
    said = client.get(f"/v1/invalidations/{purge['id']}", params={"wait": 30}).json()
    later.join()
    assert said["is_complete"]
    assert 0 <= said["applied"]["tokyo-1"] <= said["applied"]["paris-1"]


def test_an_edge_that_is_away_is_named(client: httpx.Client) -> None:
    register(client, "tokyo-1")
    purge = client.post("/v1/invalidations", json={"selectors": ["all"]}).json()
    assert purge["waiting"] == ["tokyo-1"]
    # It is not waited for once it is away.
    said = client.get(f"/v1/invalidations/{purge['id']}", params={"wait": 60}).json()
    assert (said["waiting"], said["away"], said["is_complete"]) == ([], ["tokyo-1"], True)
    beat(client, "tokyo-1", purge["position"])
    said = client.get(f"/v1/invalidations/{purge['id']}").json()
    assert (said["away"], list(said["applied"])) == ([], ["tokyo-1"])


def test_the_same_request_again_counts_once(client: httpx.Client) -> None:
    body = {"selectors": ["tag:a"], "key": "deploy-17"}
    first, again = (client.post("/v1/invalidations", json=body).json() for _ in range(2))
    assert (first["id"], first["position"]) == (again["id"], again["position"])
    assert client.post("/v1/invalidations", json={**body, "selectors": ["tag:b"]}).status_code == 409
    assert client.get("/health").json()["position"] == 2


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        ([], "at least 1"),
        (["tag:a"] * 1001, "at most 1000"),
        (["tog:a"], "tog:a"),
        (["tag:a", ""], ""),
        (["x" * 3000], "at most 2048"),
    ],
)
def test_what_selects_nothing(client: httpx.Client, selectors: list[str], said: str) -> None:
    refused = client.post("/v1/invalidations", json={"selectors": selectors})
    assert refused.status_code == 422
    assert said in refused.text
    assert client.get("/v1/invalidations").json() == []


def test_a_flood_is_slowed_down(client: httpx.Client) -> None:
    body = {"selectors": [f"tag:{number}" for number in range(1000)]}
    statuses = [client.post("/v1/invalidations", json=body) for _ in range(60)]
    refused = [each for each in statuses if each.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    # Others are not slowed down by it.
    token = made(client, "purge")["token"]
    other = client.post("/v1/invalidations", json=body, headers={"Authorization": f"Bearer {token}"})
    assert other.status_code == 202


# Tokens.


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("purge", "POST", "/v1/invalidations", {"selectors": ["tag:a"]}),
        ("publish", "POST", "/v1/configurations", {"text": CONFIGURATION}),
        ("edges", "PUT", "/v1/edges/tokyo-1", {"instance": "instance-1", "region": "x"}),
        ("admin", "POST", "/v1/tokens", {"name": "x", "scopes": ["read"]}),
    ],
)
def test_a_token_does_what_its_scope_says(
    control: ControlProcess, client: httpx.Client, scope: str, method: str, path: str, body: dict[str, Any]
) -> None:
    others = [each for each in ("read", "purge", "publish", "edges") if each != scope]
    with control.client(made(client, *others)["token"]) as without:
        refused = without.request(method, path, json=body)
        assert refused.status_code == 403
        assert f'"{scope}"' in refused.json()["error"]
        assert without.get("/v1/edges").status_code == 200
    with control.client(made(client, scope)["token"]) as allowed:
        assert allowed.request(method, path, json=body).status_code < 300
    logged = [json.loads(line) for line in control.errors().splitlines()]
    assert [(line["event"], line["needs"], line["path"]) for line in logged] == [("refused", scope, path)]


def test_a_token_ends(control: ControlProcess, client: httpx.Client) -> None:
    token = made(client, "read")
    short = made(client, "purge", expires_in_seconds=0.5)
    with control.client(token["token"]) as theirs:
        assert theirs.get("/v1/edges").status_code == 200
        client.delete(f"/v1/tokens/{token['id']}")
        assert theirs.get("/v1/edges").status_code == 401
    with control.client(short["token"]) as theirs:
        until = time.monotonic() + 30
        while (answer := theirs.get("/v1/edges")).status_code == 200:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert (answer.status_code, answer.json()["error"]) == (401, 'the token "purge" has expired')
    assert [each["name"] for each in client.get("/v1/tokens").json()] == ["first", "purge"]
    [first, _] = client.get("/v1/tokens").json()
    assert client.delete(f"/v1/tokens/{first['id']}").status_code == 409


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_stream_ends_with_its_token(control: ControlProcess, client: httpx.Client, how: str) -> None:
    token = made(client, "edges", **({"expires_in_seconds": 2.0} if how == "expired" else {}))
    with control.client(token["token"]) as theirs, theirs.stream("GET", "/v1/journal/stream") as stream:
        told = stream.iter_lines()
        assert json.loads(next(told))["kind"] == "hello"
        if how == "revoked":
            client.delete(f"/v1/tokens/{token['id']}")
        # Without an end it would go on until the client gives up.
        assert all(json.loads(line)["kind"] in ("batch", "heartbeat") for line in told)
    with control.client(token["token"]) as theirs:
        assert theirs.get("/v1/journal/stream").status_code == 401


# The journal.


def test_who_changed_what(client: httpx.Client) -> None:
    client.post("/v1/invalidations", json={"selectors": ["tag:a"]})
    register(client, "tokyo-1")
    events = client.get("/v1/journal/events").json()
    assert [(each["position"], each["type"], each["by"]) for each in events] == [
        (1, "token.created", "bodega control"),
        (2, "invalidation.requested", "first"),
        (3, "edge.registered", "first"),
    ]
    assert client.get("/v1/journal/events", params={"after": 2}).json() == events[2:]


def test_following_from_the_head_and_again_after_a_cut(control: ControlProcess, client: httpx.Client) -> None:
    [hello] = lines(client, 1)
    assert (hello["kind"], hello["position"]) == ("hello", 1)
    place = {name: hello[name] for name in ("journal", "epoch", "position", "chain")}
    for tag in ("a", "b"):
        client.post("/v1/invalidations", json={"selectors": [f"tag:{tag}"]})
    published = client.post("/v1/configurations", json={"text": CONFIGURATION})
    assert published.status_code == 201, published.text

    hello, *batches = lines(client, 2, place)
    events = [event for batch in batches for event in batch["events"]]
    while len(events) < 3:
        reached = {**place, "position": events[-1]["position"], "chain": batches[-1]["chain"]}
        _, *batches = lines(client, 2, reached)
        events += batches[0]["events"]
    assert [event["position"] for event in events] == [2, 3, 4]
    assert events[0]["data"]["selectors"] == ["tag:a"]
    assert (events[0]["unless_known"], events[2]["unless_known"]) == ("purge", "stop")
    # It is named, and fetched apart.
    assert events[2]["data"]["revision"] == 1
    assert "text" not in events[2]["data"]

    control.end()
    control.start()
    with control.client() as again:
        hello, batch = lines(again, 2, place)
        assert (hello["kind"], hello["position"], batch["after"]) == ("hello", 4, 1)


def test_a_place_of_another_journal(client: httpx.Client) -> None:
    place = {"journal": "0" * 32, "epoch": "0" * 16, "position": 7, "chain": "0" * 32}
    [parted] = lines(client, 1, place)
    assert (parted["kind"], parted["why"], parted["position"]) == ("parted", "it is another journal", 1)


def test_what_comes_while_one_follows(client: httpx.Client) -> None:
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.extend(lines(client, 4)))
    thread.start()
    until = time.monotonic() + 30
    n = 0
    while thread.is_alive():
        assert time.monotonic() < until
        client.post("/v1/invalidations", json={"selectors": [f"tag:{n}"]})
        n += 1
        time.sleep(0.05)
    hello, *batches = found
    positions = [event["position"] for batch in batches for event in batch["events"]]
    assert positions == list(range(hello["position"] + 1, hello["position"] + 1 + len(positions)))
    ends = [batch["events"][-1]["position"] for batch in batches]
    assert [batch["after"] for batch in batches] == [hello["position"], *ends[:-1]]
