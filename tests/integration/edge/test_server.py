from __future__ import annotations

import asyncio
import gc
import http.client
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from bodega.config import EdgeSettings
from bodega.distributions import Answer, Behavior, CachePolicy, Declarations, Distribution, HttpOrigin, KeyRules
from bodega.edge import EdgeServer, Request
from bodega.errors import AddressInUse, ConfigInvalid, EdgeClosed, SelectorInvalid

if TYPE_CHECKING:
    from tests.integration.edge.conftest import Origin, Wait


def fetch(url: str) -> tuple[int, str, bytes]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, response.headers["cache-status"], response.read()


def test_the_one_liner_keeps_what_the_origin_answers(origin: Origin) -> None:
    with EdgeServer("ap-northeast-1", origin_url=origin.url) as edge:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", edge.url)
        first = edge.request("GET", "/a")
        second = edge.request("GET", "/a")
        assert (first.status, first.body, first.is_hit) == (200, b"hello", False)
        assert "fwd=uri-miss" in first.cache_status
        assert (second.status, second.text, second.is_hit) == (200, "hello", True)
        assert origin.seen == ["GET /a"]


def test_the_socket_and_the_machine_without_a_socket_share_one_store(origin: Origin) -> None:
    with EdgeServer(origin_url=origin.url) as edge:
        assert "uri-miss" in fetch(f"{edge.url}/a")[1]
        assert edge.request("GET", "/a").is_hit
        assert "hit" in fetch(f"{edge.url}/a")[1]


async def test_requests_are_handled_without_holding_up_the_loop(origin: Origin) -> None:
    async with EdgeServer(origin_url=origin.url) as edge:
        slow = asyncio.create_task(edge.handle_request(Request("/slow")))
        quick = await edge.handle_request(Request("/a"))
        assert quick.body == b"hello"
        assert not slow.done()
        origin.release.set()
        assert (await slow).status == 200
        posted = await edge.handle_request(Request("/p", {"x": 1}))
        assert posted.body == b'hello{"x": 1}'


def test_a_distribution_is_served_under_its_hosts(origin: Origin) -> None:
    shop = Distribution(
        "shop",
        hosts=["shop.example.com"],
        behaviors=[
            Behavior("/old", redirect="https://{host}/new{query}"),
            Behavior("/hello", answer=Answer(body="hi", headers={"x-a": "1"})),
            Behavior("/none/*", origin=origin.url, policy="none"),
            Behavior(origin=origin.url, policy=CachePolicy(default_ttl="10m")),
        ],
    )
    with EdgeServer("eu", distribution=shop) as edge:
        moved = edge.request("GET", "/old?x=1")
        assert (moved.status, moved.headers["location"]) == (307, "https://shop.example.com/new?x=1")
        assert edge.request("GET", "/hello").text == "hi"
        assert edge.request("GET", "/hello").headers["x-a"] == "1"
        assert not [edge.request("GET", "/none/a") for _ in range(2)][1].is_hit
        assert [edge.request("GET", "/a") for _ in range(2)][1].is_hit
        assert edge.request("GET", "/a", headers={"Host": "other.example.com"}).status == 421
        assert edge.request("GET", "http://shop.example.com/a").is_hit


@pytest.mark.parametrize("ttl", ["0", 0])
def test_a_ttl_of_zero_keeps_only_what_answers_say(origin: Origin, ttl: str) -> None:
    with EdgeServer(origin_url=origin.url, ttl=ttl) as edge:
        assert not [edge.request("GET", "/a") for _ in range(2)][1].is_hit
        origin.headers["cache-control"] = "max-age=60"
        assert [edge.request("GET", "/b") for _ in range(2)][1].is_hit


@pytest.mark.parametrize("policy", ["web", "immutable", "api", "none"])
@pytest.mark.parametrize("control", ["", "private", "max-age=60", "no-cache", "no-store"])
def test_two_users_with_different_cookies_never_see_each_others_page(origin: Origin, policy: str, control: str) -> None:
    origin.headers = {"cache-control": control} if control else {}
    with EdgeServer(distribution=Distribution("a", behaviors=[Behavior(origin=origin.url, policy=policy)])) as edge:
        for user in ("ann", "bob", "ann"):
            origin.headers["set-cookie"] = f"user={user}"
            answer = edge.request("GET", "/page", headers={"cookie": f"user={user}"})
            other = "bob" if user == "ann" else "ann"
            assert other not in answer.text
            assert other not in answer.headers.get("set-cookie", "")


def test_what_the_policies_say_of_cookies_reaches_the_origin(origin: Origin) -> None:
    behaviors = [
        Behavior("/none", origin=origin.url, policy="none"),
        Behavior("/api", origin=origin.url, policy="api"),
        Behavior("/keyed", origin=origin.url, policy=CachePolicy(key=KeyRules(cookies=["user"]))),
        Behavior(origin=origin.url),
    ]
    with EdgeServer(distribution=Distribution("a", behaviors=behaviors)) as edge:
        cookies = {"cookie": "user=ann; other=1"}
        seen = {path: edge.request("GET", path, headers=cookies).text for path in ("/none", "/api", "/keyed", "/web")}
        assert seen == {
            "/none": "hellouser=ann; other=1",
            "/api": "hellouser=ann; other=1",
            "/keyed": "hellouser=ann",
            "/web": "hello",
        }
        assert edge.request("GET", "/keyed", headers={"cookie": "user=ann"}).is_hit
        assert edge.request("GET", "/keyed", headers={"cookie": "user=bob"}).text == "hellouser=bob"


def test_an_edge_counts_what_it_does(origin: Origin) -> None:
    with EdgeServer("eu", origin_url=origin.url, name="edge-1") as edge:
        for _ in range(4):
            edge.request("GET", "/a")
        stats = edge.stats()
        assert (stats.region, stats.name, stats.n_requests, stats.n_origin_requests) == ("eu", "edge-1", 4, 1)
        assert stats.hit_rate == 0.75
        assert "75.0%" in str(stats)
        metrics = edge.metrics.get_stats()
        assert (metrics["l1_hit_rate"], metrics["l2_hit_rate"], metrics["miss_rate"]) == (0.75, 0.0, 0.25)
        assert metrics["avg_miss_latency_ms"] > 0
        assert "cdn_requests_total" in edge.prometheus()


def test_what_is_invalidated_is_asked_for_again(origin: Origin) -> None:
    with EdgeServer(origin_url=origin.url) as edge:
        for path in ("/a", "/b"):
            edge.request("GET", path)
        before = edge.invalidate(f"{edge.url}/a")
        assert not edge.request("GET", "/a").is_hit
        assert edge.request("GET", "/b").is_hit
        assert edge.invalidate("all") > before
        assert not edge.request("GET", "/b").is_hit
        with pytest.raises(SelectorInvalid):
            edge.invalidate("all", "nothing")


def test_two_requests_have_one_key_where_the_second_is_a_hit(origin: Origin) -> None:
    policy = CachePolicy(default_ttl="10m", key=KeyRules(query=["w"], headers=["x-kind"], cookies=["currency"]))
    shop = Distribution("shop", hosts=["shop.test"], behaviors=[Behavior(origin=origin.url, policy=policy)])
    first = "/a?w=~"
    others: list[tuple[str, dict[str, str]]] = [
        ("/%61?w=%7e&utm=1", {}),
        ("http://SHOP.test:80/a?w=~", {"X-Other": "1", "Cookie": "session=1"}),
        ("/a?w=1", {}),
        ("/A?w=~", {}),
        ("http://shop.test:8080/a?w=~", {}),
        ("/a?w=~", {"X-Kind": "1"}),
        ("/a?w=~", {"Cookie": "currency=EUR"}),
        ("/a?w=~", {"Host": "shop.test:8080"}),
    ]
    hits = 0
    with EdgeServer(distribution=shop) as edge:
        for url, headers in others:
            edge.invalidate("all")
            assert not edge.request("GET", first).is_hit
            one, other = edge.key(first).key, edge.key(url, headers=headers).key
            assert one is not None
            assert other is not None
            is_hit = edge.request("GET", url, headers=headers).is_hit
            assert (one.fingerprint == other.fingerprint) == is_hit, (url, headers)
            hits += is_hit
    assert hits == 2


def test_a_key_is_explained_under_the_configuration_in_force(origin: Origin) -> None:
    def shop(*names: str) -> Distribution:
        policy = CachePolicy(default_ttl="10m", key=KeyRules(query=names))
        return Distribution("shop", behaviors=[Behavior(origin=origin.url, policy=policy)])

    edge = EdgeServer(distribution=shop("w"), settings=EdgeSettings(listen="127.0.0.1:0", debug_networks="127.0.0.1"))
    with pytest.raises(EdgeClosed):
        edge.key("/a")
    with edge:
        before = edge.key("/a?w=1&h=2").key
        assert before is not None
        assert before.query == "w=1"
        edge.reload(shop("w", "h"))
        after = edge.key("/a?w=1&h=2").key
        assert after is not None
        assert after.query == "w=1&h=2"
        assert after.fingerprint != before.fingerprint
        told = edge.request("GET", "/a?w=1&h=2", headers={"Bodega-Debug": "key"})
        assert told.cache_status.endswith(f'; key="{after.fingerprint} {after.scheme}://{after.host}/a?w=1&h=2"')
        assert edge.key("/a", method="POST").does == "pass"
        with pytest.raises(ValueError, match="percent-encoded"):
            edge.key("http://shop.test/a b")
        assert origin.seen == ["GET /a?w=1&h=2"]
    with pytest.raises(EdgeClosed):
        edge.key("/a")


def test_a_reload_serves_by_the_new_configuration_and_forgets_nothing(origin: Origin) -> None:
    def shop(*more: Behavior) -> Distribution:
        return Distribution("shop", behaviors=[*more, Behavior(origin=origin.url)])

    with EdgeServer(distribution=shop()) as edge:
        url = edge.url
        edge.request("GET", "/a")
        assert edge.request("GET", "/hello").body == b"hello"
        revision = edge.reload(shop(Behavior("/hello", answer=Answer(body="fixed"))))
        assert revision == edge.stats().revision == 2
        assert edge.request("GET", "/hello").body == b"fixed"
        assert edge.request("GET", "/a").is_hit
        assert edge.url == url


def test_a_file_is_served_read_again_and_left_alone_where_it_is_wrong(origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "bodega.toml"
    text = f"""
[edge]
name = "from-file"
listen = "127.0.0.1:0"
[distributions.a]
behaviors = [ {{ origin = "{origin.url}" }} ]
"""
    file.write_text(text)
    with EdgeServer(config=file, region="eu") as edge:
        assert edge.request("GET", "/a").status == 200
        assert (edge.stats().name, edge.stats().region) == ("from-file", "eu")
        file.write_text(text.replace("origin = ", "orgin = "))
        with pytest.raises(ConfigInvalid, match=r"bodega\.toml:6: .*did you mean \"origin\""):
            edge.reload()
        assert edge.stats().revision == 1
        file.write_text(text)
        assert edge.reload() == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "one of origin_url, distribution and config"),
        ({"origin_url": "http://x", "config": "y"}, "one of origin_url, distribution and config"),
        ({"origin_url": "localhost:9000"}, "origin_url: .*did you mean `http://localhost:9000`"),
        ({"origin_url": "http://x", "ttl": "60"}, "ttl: 60 has no unit"),
        ({"distribution": "x"}, "neither a Distribution nor Declarations"),
        ({"distribution": Declarations(), "ttl": "60s"}, "`ttl` goes with origin_url"),
        ({"origin_url": "http://x", "memory": "10"}, "memory: 10 has no unit"),
        ({"origin_url": "http://x", "listen": "8080"}, "only a port"),
    ],
)
def test_arguments_that_cannot_be_used_are_explained_before_anything_runs(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        EdgeServer(**fields)  # type: ignore[arg-type]


def test_starting_and_stopping_twice_is_once(origin: Origin) -> None:
    edge = EdgeServer(origin_url=origin.url)
    with pytest.raises(EdgeClosed, match="not running"):
        _ = edge.url
    assert edge.start() is edge.start()
    url = edge.url
    edge.stop()
    edge.stop()
    assert not edge.is_running
    with pytest.raises(EdgeClosed):
        edge.request("GET", "/")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)
    assert "not running" in repr(edge)
    with edge.start():
        assert not edge.request("GET", "/a").is_hit


def test_stopping_finishes_what_is_under_way(origin: Origin, wait_until: Wait) -> None:
    edge = EdgeServer(origin_url=origin.url).start()
    answers: list[tuple[int, str, bytes]] = []
    client = threading.Thread(target=lambda: answers.append(fetch(f"{url}/slow")))
    url = edge.url
    client.start()
    wait_until(lambda: origin.seen == ["GET /slow"])
    stopping = threading.Thread(target=edge.stop)
    stopping.start()
    origin.release.set()
    client.join(20)
    stopping.join(20)
    assert answers[0][0] == 200
    assert answers[0][2] == b"hello"


def test_edges_in_one_process_have_stores_and_metrics_of_their_own(origin: Origin) -> None:
    with EdgeServer("a", origin_url=origin.url) as first, EdgeServer("b", origin_url=origin.url) as second:
        first.request("GET", "/x")
        assert not second.request("GET", "/x").is_hit
        assert (first.stats().n_requests, second.stats().n_requests) == (1, 1)
        assert first.url != second.url


def test_a_guest_leaves_signals_and_loggers_alone(origin: Origin) -> None:
    numbers = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]
    signals = {number: signal.getsignal(number) for number in numbers}
    handlers = list(logging.getLogger().handlers)
    with EdgeServer(origin_url=origin.url) as edge:
        edge.request("GET", "/")
        assert {number: signal.getsignal(number) for number in numbers} == signals
        assert logging.getLogger().handlers == handlers
        assert logging.getLogger("bodega").handlers == []


def test_an_address_that_is_taken_is_named_with_its_owner(origin: Origin) -> None:
    with EdgeServer(origin_url=origin.url) as edge:
        address = urlsplit(edge.url).netloc
        with pytest.raises(AddressInUse, match=f"{address} is taken by .*pid {os.getpid()}") as caught:
            EdgeServer(origin_url=origin.url, listen=address).start()
        assert caught.value.address == address


def test_paths_and_ipv6_addresses_are_listened_on(origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with EdgeServer(origin_url=origin.url, listen=[f"unix:{path}", "[::1]:0"]) as edge:
        assert edge.urls[0] == f"unix:{path}"
        assert fetch(f"{edge.urls[1]}/a")[0] == 200
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", "/a")
        assert connection.getresponse().read() == b"hello"
        connection.close()
    assert not path.exists()


def test_an_edge_that_nobody_refers_to_ends(origin: Origin) -> None:
    edge = EdgeServer(origin_url=origin.url).start()
    address = ("127.0.0.1", urlsplit(edge.url).port or 0)
    del edge
    gc.collect()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)


def test_an_origin_that_is_down_is_a_502_with_the_reason() -> None:
    with EdgeServer(origin_url="http://127.0.0.1:1") as edge:
        answer = edge.request("GET", "/")
        assert answer.status == 502
        assert answer.headers["cache-control"] == "no-store"
        assert "proxy-status" in answer.headers


def test_a_request_that_takes_too_long_for_its_caller_is_given_up(origin: Origin) -> None:
    with EdgeServer(origin_url=origin.url) as edge:
        with pytest.raises(TimeoutError):
            edge.request("GET", "/slow", timeout="200ms")
        origin.release.set()


def test_what_is_declared_together_is_served(origin: Origin) -> None:
    declared = Declarations(
        origins={"site": HttpOrigin(origin.url)},
        policies={"short": CachePolicy(default_ttl="10s")},
        distributions=[Distribution("a", hosts="*.example.com", behaviors=[Behavior(origin="site", policy="short")])],
    )
    settings = EdgeSettings(listen="127.0.0.1:0", threads=2, memory="16MB", admin="127.0.0.1:0")
    with EdgeServer(distribution=declared, settings=settings) as edge:
        assert edge.request("GET", "/a").status == 200
        assert edge.admin_url is not None
        with urllib.request.urlopen(f"{edge.admin_url}/stats", timeout=5) as response:
            assert json.loads(response.read())["requests"]["total"] == 1


SCRIPT = """
import os, sys
from bodega.edge import EdgeServer
edge = EdgeServer(origin_url=sys.argv[1]).start()
assert edge.request("GET", "/a").status == 200
"""


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + script, *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def test_an_edge_ends_with_the_interpreter(origin: Origin) -> None:
    done = run_script("print(edge.url)", origin.url)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(done.stdout.strip()).port or 0), 5)


def test_after_a_fork_the_childs_copy_is_closed_and_says_so(origin: Origin) -> None:
    done = run_script(
        """
from bodega.errors import EdgeClosed
parent = os.getpid()
child = os.fork()
if child == 0:
    refused = 0
    for call in (edge.start, edge.stats, lambda: edge.request("GET", "/a"), lambda: edge.invalidate("all")):
        try:
            call()
        except EdgeClosed as error:
            refused += str(parent) in str(error)
    edge.stop()
    assert not edge.is_running
    with EdgeServer(origin_url=sys.argv[1]) as own:
        refused += own.request("GET", "/a").status == 200
    sys.exit(0 if refused == 5 else 1)
_, status = os.waitpid(child, 0)
assert edge.request("GET", "/a").is_hit
url = edge.url
edge.stop()
print(os.waitstatus_to_exitcode(status))
""",
        origin.url,
    )
    assert (done.stdout.strip(), done.returncode) == ("0", 0), done.stderr


def test_after_a_fork_the_childs_copy_does_not_hold_the_port(origin: Origin) -> None:
    done = run_script(
        """
import socket
from urllib.parse import urlsplit
ready, go_on = os.pipe(), os.pipe()
if os.fork() == 0:
    os.write(ready[1], b"x")
    os.read(go_on[0], 1)
    os._exit(0)
os.read(ready[0], 1)
port = urlsplit(edge.url).port
edge.stop()
try:
    socket.create_connection(("127.0.0.1", port), 5)
except ConnectionRefusedError:
    print("refused")
os.write(go_on[1], b"x")
os.wait()
""",
        origin.url,
    )
    assert (done.stdout.strip(), done.returncode) == ("refused", 0), done.stderr
