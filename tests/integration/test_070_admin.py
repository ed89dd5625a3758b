"""The admin listener: what it shows, what it does, and whom it refuses."""

from __future__ import annotations

import json
import re
import ssl
import threading
import urllib.request
from pathlib import Path

import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.exposition import Family, parse_exposition
from tests.integration.test_050_origins import make_certificates
from tests.integration.wire import Reply, Wire, get, request

from bodega import DiskTier
from bodega.errors import ConfigInvalid
from bodega.testing import Answer, Origin, wait_until

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-that-is-long-enough"


def ask(url: str | None, path: str, *fields: str, method: str = "GET", body: bytes = b"", host: str = "") -> Reply:
    assert url is not None
    authority = host or (url.partition("://")[2] if "://" in url else "localhost")
    with Wire(url) as wire:
        wire.send(request(path, *fields, method=method, host=authority, body=body))
        return wire.reply(method)


def metrics(url: str | None) -> dict[str, Family]:
    reply = ask(url, "/metrics")
    assert reply.status == 200
    assert reply["Content-Type"].startswith("text/plain; version=0.0.4")
    return parse_exposition(reply.body.decode())


def declared_metrics() -> dict[str, tuple[str, set[str]]]:
    """Read name, type and labels of every metric from the one list."""
    text = (ROOT / "crates/bodega-telemetry/src/names.rs").read_text()
    found = re.findall(r'= "(cdn_\w+)", (\w+), \[([^\]]*)\]', text)
    return {name: (kind.lower(), set(re.findall(r'"(\w+)"', labels))) for name, kind, labels in found}


def test_metrics_are_those_of_the_one_list_and_parse_strictly(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    disk = DiskTier(path=str(tmp_path / "disk"), size="32MiB", reserve="1MB")
    edge = serve(origin, admin="127.0.0.1:0", region="eu-west-1", disk=disk)
    for path in ("/a", "/a", "/b", "/../c"):
        get(edge.url, path)
    wait_until(lambda: edge.stats().n_requests == 4)
    shown = metrics(edge.admin_url)
    declared = declared_metrics()
    assert len(declared) >= 18
    # Of an edge that follows a control process; test_follow.py has one.
    of_followers = {"cdn_control_up", "cdn_control_level_age_seconds", "cdn_journal_position", "cdn_journal_behind"}
    # Of one that runs models; inference/test_metrics.py has some.
    of_models = {name for name in declared if name.split("_")[1] == "model"}
    assert set(shown) == set(declared) - of_followers - of_models
    for name, family in shown.items():
        kind, labels = declared[name]
        assert family.kind == kind, name
        own = {"le"} if kind == "histogram" else set()
        assert all(set(sample.labels) - own == labels for sample in family.samples), name
    assert shown["cdn_requests_total"].value(outcome="hit") == 1
    assert shown["cdn_requests_total"].value(outcome="miss") == 2
    assert shown["cdn_requests_total"].value(outcome="refused") == 1
    assert shown["cdn_request_reasons_total"].value(outcome="refused", reason="unsafe-path") == 1
    assert {sample.labels["region"] for sample in shown["cdn_requests_total"].samples} == {"eu-west-1"}


def test_metrics_and_statistics_say_the_same(serve: Serve, origin: Origin) -> None:
    origin.on("/b", Answer(b"b" * 10_000, headers=KEPT))
    edge = serve(origin, admin="127.0.0.1:0")
    for path in ("/a", "/b", "/a", "/b", "/b"):
        get(edge.url, path)
    wait_until(lambda: edge.stats().n_requests == 5)
    shown, stats = metrics(edge.admin_url), json.loads(ask(edge.admin_url, "/stats").body)
    by_outcome = {
        sample.labels["outcome"]: sample.value for sample in shown["cdn_requests_total"].samples if sample.value
    }
    assert by_outcome == {"miss": 2, "hit": 3}
    assert {name: count for name, count in stats["requests"]["by_outcome"].items() if count} == by_outcome
    assert shown["cdn_sent_bytes_total"].value() == stats["bytes"]["sent"] > 30_000
    assert shown["cdn_origin_received_bytes_total"].value() == stats["bytes"]["from_origin"] == 10_002
    assert shown["cdn_store_entries"].value() == stats["store"]["entries"] == 2
    assert shown["cdn_store_used_bytes"].value() == stats["store"]["used_bytes"] > 10_000
    latency = shown["cdn_request_latency_seconds"]
    assert latency.value("_count", level="l1") == 3
    assert latency.value("_count", level="miss") == 2
    assert latency.value("_bucket", level="l1", le="+Inf") == 3


def test_health_is_always_well_and_ready_is_503_while_draining(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/slow", Answer(b"slow", before=gate))
    edge = serve(origin, admin="127.0.0.1:0")
    admin = edge.admin_url
    assert ask(admin, "/ready").status == 200
    with Wire(edge.url) as wire:
        wire.send(request("/slow"))
        wait_until(lambda: origin.n_requests == 1)
        draining = threading.Thread(target=edge.stop)
        draining.start()
        wait_until(lambda: ask(admin, "/ready").status == 503)
        assert ask(admin, "/health").status == 200
        assert json.loads(ask(admin, "/stats").body)["draining"] is True
        gate.set()
        assert wire.reply().body == b"slow"
    draining.join()
    with pytest.raises(ConnectionRefusedError):
        ask(admin, "/health")


def test_an_invalidation_is_applied_before_it_is_answered(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert get(edge.url, "/a").status == get(edge.url, "/b").status == 200
    one = json.dumps({"selectors": ["http://edge.test/a"]}).encode()
    first = ask(edge.admin_url, "/invalidate", method="POST", body=one)
    assert (first.status, first["Content-Type"]) == (200, "application/json")
    assert [get(edge.url, path).is_hit for path in ("/a", "/b")] == [False, True]
    second = ask(edge.admin_url, "/invalidate", method="POST", body=b'{"selectors": ["all"]}')
    assert json.loads(second.body)["sequence"] > json.loads(first.body)["sequence"]
    assert [get(edge.url, path).is_hit for path in ("/a", "/b")] == [False, False]


def test_each_kind_of_selector_reaches_what_it_names(serve: Serve) -> None:
    paths = ("/img/a.webp", "/img/b.png", "/user:1:x")
    with Origin(
        {path: Answer(headers={"Cache-Control": "max-age=600", "Cache-Tag": path[1:]}) for path in paths}
    ) as tagged:
        edge = serve(site(tagged), admin="127.0.0.1:0")
        for selector, reached in (
            ("tag:img/a.webp", [True, False, False]),
            ("tag:user:*", [False, False, True]),
            ("prefix:http://edge.test/img/", [True, True, False]),
            ("prefix:http://edge.test/im", [True, True, False]),
            ("glob:edge.test/*.webp", [True, False, False]),
            ("distribution:site", [True, True, True]),
            ("model:x", [False, False, False]),
        ):
            for path in paths:
                get(edge.url, path)
            assert all(get(edge.url, path).is_hit for path in paths)
            body = json.dumps({"selectors": [selector]}).encode()
            reply = ask(edge.admin_url, "/invalidate", method="POST", body=body)
            assert (reply.status, json.loads(reply.body)["durable"]) == (200, True), reply.body
            assert [not get(edge.url, path).is_hit for path in paths] == reached, selector


def test_more_patterns_than_may_be_are_refused_until_there_is_room(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    many = json.dumps({"selectors": [f"glob:h{number}/*" for number in range(257)]}).encode()
    reply = ask(edge.admin_url, "/invalidate", method="POST", body=many)
    assert reply.status == 429
    assert b"256 pattern rules" in reply.body
    fewer = json.dumps({"selectors": [f"glob:h{number}/*" for number in range(256)]}).encode()
    assert ask(edge.admin_url, "/invalidate", method="POST", body=fewer).status == 200


WRONG = {
    "nothing": b"",
    "no JSON": b"all",
    "no selectors": b"{}",
    "an empty list": b'{"selectors": []}',
    "a text for a list": b'{"selectors": "all"}',
    "numbers": b'{"selectors": [1]}',
    "an unknown field": b'{"selectors": ["all"], "hard": true}',
    "soft as a text": b'{"selectors": ["all"], "soft": "yes"}',
    "two documents": b'{"selectors": ["all"]} {"selectors": ["all"]}',
    "a selector that selects nothing": b'{"selectors": ["everything"]}',
    "one wrong among right ones": b'{"selectors": ["all", "nonsense"]}',
    "too many": json.dumps({"selectors": ["all"] * 1001}).encode(),
    "an address without a scheme": b'{"selectors": ["edge.test/a"]}',
    "bytes that are no text": b'{"selectors": ["\xff"]}',
    "deep nesting": b"[" * 10_000,
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_an_invalidation_that_cannot_be_read_is_400_and_forgets_nothing(
    serve: Serve, origin: Origin, body: bytes
) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    get(edge.url, "/a")
    sequence = edge.stats().sequence
    reply = ask(edge.admin_url, "/invalidate", method="POST", body=body)
    assert (reply.status, reply["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert edge.stats().sequence == sequence
    assert get(edge.url, "/a").is_hit


def test_a_body_that_is_too_large_or_without_length_is_413(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert edge.admin_url is not None
    authority = edge.admin_url.partition("://")[2].encode()
    for framing in (b"Content-Length: 2000000", b"Transfer-Encoding: chunked"):
        with Wire(edge.admin_url) as wire:
            reply = wire.send(b"POST /invalidate HTTP/1.1\r\nHost: ", authority, b"\r\n", framing, b"\r\n\r\n").reply()
            assert reply.status == 413
            assert wire.is_ended()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "//metrics", 404),
        ("GET", "/invalidate", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/stats", 405),
        ("GET", "/metrics?name=a", 200),
        ("HEAD", "/metrics", 200),
    ],
)
def test_only_what_is_offered_is_answered(serve: Serve, origin: Origin, method: str, path: str, status: int) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    reply = ask(edge.admin_url, path, method=method)
    assert (reply.status, reply["Cache-Control"]) == (status, "no-store")
    assert "Access-Control-Allow-Origin" not in reply


@pytest.mark.parametrize(
    "fields",
    [
        ("Origin: https://evil.test",),
        ("Origin: null",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
    ],
)
def test_what_a_web_page_made_a_browser_send_is_refused(serve: Serve, origin: Origin, fields: tuple[str, ...]) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    get(edge.url, "/a")
    for method, path in (("POST", "/invalidate"), ("GET", "/stats")):
        reply = ask(
            edge.admin_url, path, *fields, "Content-Type: text/plain", method=method, body=b'{"selectors":["all"]}'
        )
        assert reply.status == 403
    assert get(edge.url, "/a").is_hit


def test_a_name_that_was_made_to_point_here_is_refused(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert edge.admin_url is not None
    port = edge.admin_url.rpartition(":")[2]
    for host in ("evil.test", f"evil.test:{port}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.test:{port}"):
        assert ask(edge.admin_url, "/stats", host=host).status == 421, host
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert ask(edge.admin_url, "/stats", host=host).status == 200, host


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_beyond_this_machine_it_needs_a_token_and_tls(serve: Serve, origin: Origin, address: str) -> None:
    for settings in ({}, {"admin_token": TOKEN}):
        with pytest.raises(ConfigInvalid, match="admin_token"):
            serve(origin, admin=address, **settings)


def test_the_native_core_refuses_it_as_well_whoever_asks(origin: Origin) -> None:
    from bodega import _native
    from bodega.distributions import Declarations
    from bodega.snapshot import compile_snapshot

    document = compile_snapshot(Declarations.of_origin(origin.url), 1, {}).document
    for options in ({"admin": "0.0.0.0:0"}, {"admin": "[::]:0", "admin_token": TOKEN}, {"admin": ":0"}):
        with pytest.raises(ConfigInvalid, match="beyond loopback"):
            _native.NativeEdge(json.dumps(options), document)


def test_a_token_is_asked_for_where_one_is_set(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0", admin_token=TOKEN)
    refused = ask(edge.admin_url, "/stats")
    assert (refused.status, refused["WWW-Authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN):
        assert ask(edge.admin_url, "/metrics", f"Authorization: {wrong}").status == 401, wrong
    assert ask(edge.admin_url, "/metrics", f"Authorization: Bearer {TOKEN}").status == 200
    assert ask(edge.admin_url, "/stats", f"Authorization: Bearer {TOKEN}", "Origin: null").status == 403


def test_with_token_and_certificate_it_is_served_to_other_machines_over_tls(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    make_certificates(tmp_path, "localhost")
    certificate = {"admin_tls_cert": str(tmp_path / "server.pem"), "admin_tls_key": str(tmp_path / "server.key")}
    edge = serve(origin, admin="0.0.0.0:0", admin_token=TOKEN, **certificate)
    assert edge.admin_url is not None
    assert edge.admin_url.startswith("https://0.0.0.0:")
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    url = f"https://localhost:{edge.admin_url.rpartition(':')[2]}/stats"
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, context=trust, timeout=30) as answer:
        assert json.load(answer)["name"] == "bodega"
    with Wire(edge.admin_url.replace("https", "http").replace("0.0.0.0", "127.0.0.1")) as plain:
        assert (
            b"HTTP/1.1 200" not in plain.send(request("/stats", f"Authorization: Bearer {TOKEN}")).end_sending().rest()
        )


def test_a_unix_socket_is_only_for_its_owner_and_removed_at_the_end(
    serve: Serve, origin: Origin, tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"
    edge = serve(origin, admin=f"unix:{path}")
    assert edge.admin_url == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert ask(edge.admin_url, "/health").body == b"ok\n"
    assert ask(edge.admin_url, "/stats", "Origin: https://evil.test").status == 403
    edge.stop()
    assert not path.exists()


def test_malformed_requests_are_refused_and_do_not_end_the_listener(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert edge.admin_url is not None
    for wrong in (
        b"\0\0\0\0\r\n\r\n",
        b"GET /stats HTTP/1.1\r\n\r\n",
        b"GET /stats HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ):
        with Wire(edge.admin_url) as wire:
            assert wire.send(wrong).reply().status == 400
            assert wire.is_ended()
    with Wire(edge.admin_url) as wire:
        assert wire.send(b"GET /stats HTTP/1.1\r\nX-A: ", b"a" * 20_000).reply().status == 431
    assert ask(edge.admin_url, "/health").status == 200


def test_requests_on_one_admin_connection_follow_each_other(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert edge.admin_url is not None
    authority = edge.admin_url.partition("://")[2]
    with Wire(edge.admin_url) as wire:
        wire.send(
            request("/health", host=authority),
            request("/invalidate", host=authority, method="POST", body=b'{"selectors": ["all"]}'),
            request("/ready", host=authority),
        )
        assert [wire.reply().status for _ in range(3)] == [200, 200, 200]
