"""The HTTP/1 front as clients meet it: connections, bodies, old versions, refusals."""

from __future__ import annotations

import contextlib
import email.utils
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.wire import Broken, Wire, get, request

from bodega.distributions import Answer as FixedAnswer
from bodega.distributions import Behavior, Distribution
from bodega.testing import Answer, Origin, wait_until


def curl(*arguments: str) -> str:
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], capture_output=True, check=True)
    return done.stdout.decode("latin-1")


def test_a_connection_is_kept_for_the_next_request(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert [wire.get(f"/{number % 3}").body for number in range(6)] == [b"/0", b"/1", b"/2"] * 2
    # The last one is counted once it has left.
    wait_until(lambda: edge.stats().by_outcome["hit"] == 3)
    assert origin.n_requests == 3


def test_curl_gets_a_miss_then_a_hit_on_one_connection(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    shown = curl("-v", "-o", "/dev/null", "-o", "/dev/null", "--stderr", "-", f"{edge.url}/a", f"{edge.url}/a")
    assert "fwd=uri-miss; stored" in shown
    assert "; hit; ttl=" in shown
    assert "Re-using existing" in shown or "Reusing existing" in shown


def test_ten_pipelined_requests_are_answered_in_order_whether_kept_or_not(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for number in range(0, 10, 2):
        get(edge.url, f"/{number}")
    with Wire(edge.url) as wire:
        wire.send(*(request(f"/{number}") for number in range(10)))
        replies = [wire.reply() for _ in range(10)]
    assert [reply.body for reply in replies] == [f"/{number}".encode() for number in range(10)]
    assert [reply.is_hit for reply in replies] == [True, False] * 5


def test_pipelined_requests_with_bodies_keep_their_bounds(serve: Serve, origin: Origin) -> None:
    origin.on("*", lambda request: Answer(request.body, framing="chunked"))
    edge = serve(site(origin, policy="none"))
    chunked = (
        b"POST /b HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\ntwo\r\n1\r\n!\r\n0\r\nT: t\r\n\r\n"
    )
    with Wire(edge.url) as wire:
        wire.send(request("/a", method="POST", body=b"one"), chunked, request("/c", method="PUT", body=b"three"))
        assert [wire.reply().body for _ in range(3)] == [b"one", b"two!", b"three"]
    assert [(each.method, each.body) for each in origin.requests] == [
        ("POST", b"one"),
        ("POST", b"two!"),
        ("PUT", b"three"),
    ]


def test_curl_posts_a_chunked_body_and_reads_a_chunked_answer(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    origin.on("*", lambda request: Answer([request.body[:10], request.body[10:]], framing="chunked"))
    edge = serve(site(origin, policy="none"))
    content = b"0123456789" * 100_000
    (tmp_path / "sent").write_bytes(content)
    arguments = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", f"@{tmp_path / 'sent'}"]
    curl(*arguments, "-o", str(tmp_path / "got"), f"{edge.url}/upload")
    assert (tmp_path / "got").read_bytes() == content
    assert origin.requests[0].header("transfer-encoding") == "chunked"
    assert origin.requests[0].header("content-length") is None


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "0"}], ids=["silent", "with a length"])
def test_a_204_has_neither_length_nor_coding(serve: Serve, origin: Origin, headers: dict[str, str]) -> None:
    """It went out with `Transfer-Encoding: chunked` and no chunks, and from the store with `Content-Length: 0`."""
    origin.on("*", Answer(status=204, headers={**KEPT, **headers}))
    edge = serve(origin)
    with Wire(edge.url) as wire:
        replies = [wire.get("/a") for _ in range(3)]
    assert [reply.is_hit for reply in replies] == [False, True, True]
    for reply in replies:
        assert (reply.status, reply.body) == (204, b"")
        # RFC 9110 section 8.6, RFC 9112 section 6.1.
        assert "Content-Length" not in reply
        assert "Transfer-Encoding" not in reply


def test_a_head_request_gets_the_head_of_the_get_and_no_body(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        whole = wire.get("/a")
        head = wire.get("/a", method="HEAD")
        again = wire.get("/a")
    assert (head.status, head["Content-Length"], head.body) == (200, whole["Content-Length"], b"")
    assert head.is_hit
    assert again.body == b"/a"


def test_a_head_request_for_a_cold_object_leaves_the_connection_usable(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert wire.get("/a", method="HEAD").status == 200
        assert wire.get("/a").body == b"/a"


def test_http_1_0_closes_unless_keep_alive_is_asked_for(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(b"GET /a HTTP/1.0\r\nHost: e\r\nConnection: keep-alive\r\n\r\n")
        kept = wire.reply()
        assert (kept.body, kept["Connection"].lower()) == (b"/a", "keep-alive")
        wire.send(b"GET /a HTTP/1.0\r\nHost: e\r\n\r\n")
        assert wire.reply()["Connection"] == "close"
        assert wire.is_ended()


def test_http_1_0_without_host_is_served_where_every_host_is(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert wire.reply().body == b"/a"


def test_http_1_0_never_sees_chunks(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer([b"one", b"two"], framing="chunked", headers={"Cache-Control": "no-store"}))
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(b"GET /a HTTP/1.0\r\nHost: e\r\nConnection: keep-alive\r\n\r\n")
        head = wire.head()
        assert ("Transfer-Encoding" in head, head["Connection"]) == (False, "close")
        assert wire.rest() == b"onetwo"


def test_connection_close_is_heeded(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert wire.get("/a", "Connection: close")["Connection"] == "close"
        assert wire.is_ended()


def test_expect_100_continue_is_answered_once_the_body_is_wanted(serve: Serve, origin: Origin) -> None:
    origin.on("*", lambda request: Answer(request.body))
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert wire.head().status == 100
        wire.send(b"abc")
        assert wire.reply().body == b"abc"
        assert wire.get("/b").status == 200


def test_expect_100_continue_gets_the_refusal_before_any_body_is_sent(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"), max_body="1KB")
    with Wire(edge.url) as wire:
        wire.send(b"POST /a HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
        assert wire.head().status == 413


def test_date_is_there_and_true_in_kept_and_fetched_and_own_answers(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for reply in [get(edge.url, "/a"), get(edge.url, "/a"), get(edge.url, "/../a")]:
        (date,) = reply.all("Date")
        assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 60


def test_an_ipv6_listener_serves(serve: Serve, origin: Origin) -> None:
    edge = serve(origin, listen=["[::1]:0", "127.0.0.1:0"])
    assert edge.urls[0].startswith("http://[::1]:")
    assert [get(url, "/a").body for url in edge.urls] == [b"/a"] * 2
    assert curl("-g", f"{edge.urls[0]}/a") == "/a"


def test_a_unix_socket_serves_and_is_removed_at_the_end(serve: Serve, origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    edge = serve(origin, listen=f"unix:{path}")
    assert get(edge.url, "/a").body == b"/a"
    assert curl("--unix-socket", str(path), "http://edge.test/a") == "/a"
    assert path.stat().st_mode & 0o777 == 0o600
    edge.stop()
    assert not path.exists()


SHOP = "shop.example.com"


def test_an_unknown_host_is_421_and_reaches_no_origin(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, hosts=SHOP))
    assert get(edge.url, "/a", host=SHOP).status == 200
    assert get(edge.url, "/a", host=f"{SHOP.upper()}:8080").status == 200
    assert get(edge.url, "/a", host="other.example.com").status == 421
    assert get(edge.url, f"http://{SHOP}/a", host="other.example.com").status == 200
    assert get(edge.url, "http://other.example.com/a", host=SHOP).status == 421
    assert {each.header("host") for each in origin.requests} == {origin.authority}


def test_connect_is_405_and_names_what_is_allowed(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        reply = wire.reply()
    assert (reply.status, "GET" in reply["Allow"]) == (405, True)
    assert get(edge.url, "/a", method="TRACE").status == 405
    assert origin.n_requests == 0


def test_an_upgrade_is_refused_with_its_reason(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    reply = get(edge.url, "/a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    assert reply.status == 501
    assert "detail=upgrade" in reply["Cache-Status"]
    assert origin.n_requests == 0


@pytest.mark.parametrize("path", ["/metrics", "/stats", "/health", "/ready", "/invalidate"])
def test_the_public_port_has_no_path_of_the_admin_listener(serve: Serve, origin: Origin, path: str) -> None:
    edge = serve(origin, admin="127.0.0.1:0")
    assert get(edge.url, path).body == path.encode()


def test_the_public_port_has_no_method_that_purges_what_it_does_not_name(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    get(edge.url, "/kept")
    with Wire(edge.url) as wire:
        assert wire.send(request("/invalidate", method="POST", body=b'{"selectors": ["all"]}')).reply().status == 200
        for method in ("BAN", "REFRESH"):
            assert wire.get("/other", method=method).body == b"/other", "it is the origin's business, like any method"
        purged = wire.get("/other", method="PURGE")
        assert (purged.status, purged["Cache-Control"]) == (200, "no-store")
        assert purged.body.startswith(b"forgotten")
    assert get(edge.url, "/kept").is_hit


@pytest.mark.parametrize(
    ("networks", "headers"),
    [
        ("10.0.0.0/8", []),
        ([], []),
        ("127.0.0.0/8", ["X-Forwarded-For: 127.0.0.1"]),
        ("127.0.0.0/8", ["Via: 1.1 front"]),
    ],
)
def test_purge_is_405_for_all_others_and_never_forwarded(
    serve: Serve, origin: Origin, networks: str | list[str], headers: list[str]
) -> None:
    edge = serve(origin, purge_networks=networks)
    get(edge.url, "/kept")
    with Wire(edge.url) as wire:
        refused = wire.get("/kept", *headers, method="PURGE")
        assert refused.status == 405
        assert "PURGE" not in refused["Allow"]
    assert get(edge.url, "/kept").is_hit
    assert origin.n_requests == 1


def test_purge_from_this_machine_forgets_every_variant_of_the_url(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for path in ("/page", "/page?a=1", "/other"):
        get(edge.url, path)
    with Wire(edge.url) as wire:
        assert wire.get("/page", method="PURGE").status == 200
        assert [wire.get(path).is_hit for path in ("/page", "/page?a=1", "/other")] == [False, False, True]


def test_a_fixed_answer_needs_no_origin(serve: Serve) -> None:
    answer = FixedAnswer(body="up\n", headers={"x-a": "1"})
    edge = serve(Distribution("fixed", behaviors=[Behavior(answer=answer)]))
    reply = get(edge.url, "/")
    assert (reply.status, reply.body, reply["x-a"]) == (200, b"up\n", "1")


def test_a_post_to_a_fixed_answer_does_not_become_the_next_request(serve: Serve) -> None:
    edge = serve(Distribution("fixed", behaviors=[Behavior(answer=FixedAnswer(body="up\n"))]))
    with Wire(edge.url) as wire:
        # Whole behind its head it is passed over; in pieces nobody waits for the rest.
        posted = request("/", method="POST", body=request("/smuggled"))
        assert wire.send(posted).reply().body == b"up\n"
        assert wire.get("/next").body == b"up\n"
        assert wire.send(posted[:-5]).reply().body == b"up\n"
        assert wire.is_ended()
    assert edge.stats().n_requests == 3


def test_an_answer_before_the_end_of_the_body_does_not_mix_up_the_connection(serve: Serve, origin: Origin) -> None:
    # The origin cannot be reached: the body is never asked for.
    origin.stop()
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        wire.send(request("/", method="POST", body=request("/smuggled")))
        assert wire.reply().status == 502
        with contextlib.suppress(Broken):
            assert wire.get("/next").status == 502
    assert edge.stats().n_requests <= 2


def test_an_interim_answer_of_the_origin_is_not_taken_for_the_answer(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(b"whole", headers=KEPT, interim=[103, 103]))
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert wire.get("/a").body == b"whole"
        assert wire.get("/a").is_hit


@pytest.mark.parametrize("policy", ["web", "none"])
def test_hints_arrive_before_the_origin_has_its_answer(serve: Serve, origin: Origin, policy: str) -> None:
    gate = threading.Event()
    fields = {"Link": "</a.css>; rel=preload", "Keep-Alive": "timeout=5", "Connection": "X-Hop", "X-Hop": "1"}
    origin.on("/a", Answer(b"whole", headers=KEPT, interim=[100, 102, (103, fields)], before=gate))
    edge = serve(site(origin, policy=policy))
    with Wire(edge.url) as wire:
        heads = [wire.send(request("/a")).head(), wire.head()]
        assert [(head.version, head.status) for head in heads] == [("HTTP/1.1", 102), ("HTTP/1.1", 103)]
        assert [head.fields for head in heads] == [(), (("Link", "</a.css>; rel=preload"),)]
        gate.set()
        answer = wire.head()
        assert (answer.status, "Link" in answer, wire.exactly(5)) == (200, False, b"whole")
        if policy == "web":
            assert wire.send(request("/a")).head().is_hit


def test_only_who_leads_a_fill_gets_hints(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("/a", Answer(b"whole", headers=KEPT, interim=[103], before=gate))
    edge = serve(origin)
    with Wire(edge.url) as leader, Wire(edge.url) as joiner:
        assert leader.send(request("/a")).head().status == 103
        joiner.send(request("/a"))
        get(edge.url, "/behind")
        gate.set()
        assert [leader.head().status, joiner.head().status] == [200, 200]
    assert [each.target for each in origin.requests] == ["/a", "/behind"]


def test_an_http_1_0_client_gets_no_hints(serve: Serve, origin: Origin) -> None:
    # RFC 9110 section 15.2: it would take them for the answer.
    origin.on("/a", Answer(b"whole", headers=KEPT, interim=[102, 103]))
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert wire.send(b"GET /a HTTP/1.0\r\nHost: e\r\n\r\n").head().status == 200


def test_hints_do_not_get_between_a_body_and_its_client(serve: Serve, origin: Origin) -> None:
    # The origin sends its hints when the whole body is there, which the edge has to ask the client for.
    origin.on("/a", Answer(b"whole", interim=[103]))
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        wire.send(request("/a", "Content-Length: 4", "Expect: 100-continue", method="POST"))
        assert wire.head().status == 100
        assert wire.send(b"body").head().status == 103
        assert wire.reply().body == b"whole"
        assert wire.get("/a").body == b"whole"
    assert [each.body for each in origin.requests] == [b"body", b""]


def test_hints_without_end_are_an_error_after_the_eighth(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(b"whole", interim=[103] * 17))
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(request("/a"))
        assert [wire.head().status for _ in range(9)] == [103] * 8 + [502]


def test_a_client_that_half_closes_still_gets_its_answer(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        wire.send(request("/a")).end_sending()
        assert wire.reply().body == b"/a"
        assert wire.is_ended()
    wait_until(lambda: edge.stats().connections == 0)
