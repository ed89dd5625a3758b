"""What an origin sees of an edge, and what clients see of an origin that is slow, down, broken or strange."""

from __future__ import annotations

import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from tests.integration.conftest import KEPT, Serve, site
from tests.integration.wire import Reply, Wire, get, request

from bodega.distributions import Behavior, Distribution, HttpOrigin
from bodega.testing import Answer, Origin, free_port, wait_until


def before(origin: HttpOrigin, *, policy: str = "none") -> Distribution:
    return Distribution("site", behaviors=[Behavior(origin=origin, policy=policy)])


def assert_made_by_the_edge(reply: Reply, status: int, error: str) -> None:
    assert (reply.status, reply["Cache-Control"]) == (status, "no-store")
    assert reply["Proxy-Status"] == f"bodega; error={error}"
    assert reply["X-Request-Id"] in reply.body.decode()
    assert reply.body.startswith(f"{status} ".encode())
    assert len(reply.body) < 300


def test_connections_to_the_origin_are_used_again(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for number in range(20):
        assert get(edge.url, f"/{number}").status == 200
    assert (origin.n_requests, origin.n_connections) == (20, 1)


def test_a_connection_that_the_origin_closed_while_idle_costs_no_request(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    for number in range(5):
        assert get(edge.url, f"/{number}").status == 200
        origin.cut()
        wait_until(lambda: origin.n_open == 0)
    assert origin.n_requests == 5


def test_a_connection_that_ends_under_a_safe_request_is_tried_again_on_another(serve: Serve, origin: Origin) -> None:
    origin.on("/a", [Answer(drop=True), Answer(b"whole", headers=KEPT)])
    edge = serve(origin)
    get(edge.url, "/first")
    assert get(edge.url, "/a").body == b"whole"
    assert [each.target for each in origin.requests] == ["/first", "/a", "/a"]


def test_an_unsafe_request_is_never_sent_twice(serve: Serve, origin: Origin) -> None:
    origin.on("/a", [Answer(drop=True), Answer(b"twice")])
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        assert_made_by_the_edge(
            wire.send(request("/a", method="POST", body=b"pay")).reply(), 502, "http_response_incomplete"
        )
    assert origin.n_requests == 1


def test_an_origin_that_closes_after_each_answer_is_asked_on_new_connections(serve: Serve, origin: Origin) -> None:
    origin.on("*", lambda request: Answer(request.target.encode(), headers=KEPT, close=True))
    edge = serve(origin)
    assert [get(edge.url, f"/{number}").body for number in range(3)] == [b"/0", b"/1", b"/2"]
    assert origin.n_connections == 3


def test_an_origin_that_is_down_is_502_and_served_once_it_is_up(serve: Serve) -> None:
    origin = Origin({"*": Answer(b"up", headers=KEPT)}, port=free_port())
    edge = serve(f"http://127.0.0.1:{origin.port}")
    assert_made_by_the_edge(get(edge.url, "/a"), 502, "connection_refused")
    with origin:
        assert get(edge.url, "/a").body == b"up"
    assert get(edge.url, "/a").is_hit


def test_a_name_that_does_not_resolve_is_502(serve: Serve) -> None:
    edge = serve("http://no-such-host.invalid:9")
    assert_made_by_the_edge(get(edge.url, "/a"), 502, "dns_error")


def test_an_origin_that_does_not_answer_in_time_is_504(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(b"late", before=threading.Event()))
    edge = serve(before(HttpOrigin(origin.url, first_byte_timeout="200ms", attempts=1)))
    assert_made_by_the_edge(get(edge.url, "/a"), 504, "http_response_timeout")


def test_an_origin_that_pauses_too_long_within_a_body_is_a_break(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer([b"first", threading.Event(), b"second"], headers=KEPT))
    edge = serve(before(HttpOrigin(origin.url, between_bytes_timeout="200ms"), policy="web"))
    with Wire(edge.url) as wire:
        assert wire.send(request("/a")).head()["Content-Length"] == "11"
        assert wire.rest() == b"first"
    assert edge.stats().n_entries == 0


def test_an_origin_with_too_many_requests_under_way_is_503_with_a_time_to_retry(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("*", Answer(b"slow", before=gate))
    edge = serve(before(HttpOrigin(origin.url, max_connections=1, max_queue=1, queue_timeout="20s")))
    with Wire(edge.url) as under_way, Wire(edge.url) as queued:
        under_way.send(request("/a"))
        wait_until(lambda: origin.n_requests == 1)
        queued.send(request("/b"))
        # Which of the two takes the place in the queue is not known: one is answered, the other refused.
        with Wire(edge.url) as third:
            third.send(request("/c"))
            wait_until(lambda: edge.stats().by_outcome.get("error") == 1)
            gate.set()
            replies = [under_way.reply(), queued.reply(), third.reply()]
    assert sorted(reply.status for reply in replies) == [200, 200, 503]
    refused = next(reply for reply in replies if reply.status == 503)
    assert_made_by_the_edge(refused, 503, "connection_limit_reached")
    assert int(refused["Retry-After"]) >= 1


def test_who_waits_too_long_for_a_connection_is_503(serve: Serve, origin: Origin) -> None:
    gate = threading.Event()
    origin.on("*", Answer(b"slow", before=gate))
    edge = serve(before(HttpOrigin(origin.url, max_connections=1, queue_timeout="200ms")))
    with Wire(edge.url) as under_way:
        under_way.send(request("/a"))
        wait_until(lambda: origin.n_requests == 1)
        assert_made_by_the_edge(get(edge.url, "/b"), 503, "connection_limit_reached")
        gate.set()
        assert under_way.reply().status == 200


FOR_ONE_CONNECTION = (
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nConnection: keep-alive, X-Hop, ETag, Cache-Control\r\n"
    b'X-Hop: 1\r\nX-Stays: 1\r\nETag: "a"\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n'
    b"Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: a\r\nUpgrade: h2c\r\nTE: trailers\r\n"
    b"Trailer: X-Checksum, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nwhole\r\n0\r\nX-Checksum: 1\r\nSet-Cookie: a=1\r\nCache-Control: no-store\r\n\r\n"
)
HOP_BY_HOP = (
    "X-Hop",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authenticate",
    "Proxy-Authentication-Info",
    "Upgrade",
    "TE",
    "Trailer",
    "Connection",
)


@pytest.mark.parametrize("policy", ["web", "rfc", "none"])
def test_what_is_for_one_connection_is_neither_passed_on_nor_kept(serve: Serve, origin: Origin, policy: str) -> None:
    origin.on("/a", Answer(raw=FOR_ONE_CONNECTION))
    edge = serve(site(origin, policy=policy))
    with Wire(edge.url) as wire:
        for is_hit in (False, policy != "none"):
            reply = wire.get("/a")
            assert (reply.body, reply.is_hit, reply["X-Stays"]) == (b"whole", is_hit, "1")
            assert (reply["ETag"], reply["Cache-Control"]) == ('"a"', "max-age=3600")
            assert [name for name in (*HOP_BY_HOP, "X-Checksum", "Set-Cookie") if name in reply] == []


def test_trailers_of_a_request_do_not_reach_the_origin(serve: Serve, origin: Origin) -> None:
    # RFC 9110 section 6.5.1: merged into the head they would be fields that nobody has checked.
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        wire.send(
            b"POST /a HTTP/1.1\r\nHost: e\r\nTrailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\nAuthorization: Basic eA==\r\n\r\n"
        )
        assert wire.reply().status == 200
        assert wire.get("/b").body == b"/b"
    sent = origin.requests[0]
    assert sent.body == b"abc"
    assert [sent.header(name) for name in ("X-Checksum", "Authorization", "Trailer", "TE")] == [None] * 4


WITH_TRAILERS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum, Host\r\nCache-Control: max-age=60\r\n\r\n"
    b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\nHost: evil\r\nSet-Cookie: a=1\r\n\r\n"
)


def test_trailers_of_an_answer_that_is_not_kept_reach_who_takes_them(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(raw=WITH_TRAILERS))
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        for fields, expected in ((("TE: trailers", "Connection: TE"), b"X-Checksum: 1\r\n\r\n"), ((), b"\r\n")):
            wire.send(request("/a", *fields))
            head = wire.head()
            assert (head["Transfer-Encoding"], head["Trailer"]) == ("chunked", "X-Checksum" if fields else "")
            assert wire.exactly(len(b"3\r\nabc\r\n0\r\n")) == b"3\r\nabc\r\n0\r\n"
            assert wire.exactly(len(expected)) == expected
        # HTTP/1.0 knows neither chunks nor trailers.
        wire.send(b"GET /a HTTP/1.0\r\nHost: e\r\nTE: trailers\r\n\r\n")
        assert wire.rest().endswith(b"\r\n\r\nabc")


def test_trailers_of_an_answer_that_is_kept_are_for_nobody(serve: Serve, origin: Origin) -> None:
    # RFC 9111 section 3.1: a cache may discard them.
    origin.on("/a", Answer(raw=WITH_TRAILERS))
    edge = serve(site(origin))
    with Wire(edge.url) as wire:
        for is_hit in (False, True):
            reply = wire.get("/a", "TE: trailers", "Connection: TE")
            assert (reply.is_hit, reply.body, "Trailer" in reply) == (is_hit, b"abc", False)


def test_options_counts_down_and_ends_at_the_edge(serve: Serve, origin: Origin) -> None:
    edge = serve(origin)
    with Wire(edge.url) as wire:
        assert wire.get("*", "Max-Forwards: 2", method="OPTIONS").body == b"*"
        assert wire.get("*", "Max-Forwards: 1", method="OPTIONS").body == b"*"
        ended = wire.get("*", "Max-Forwards: 0", method="OPTIONS")
    assert (ended.status, ended["Allow"]) == (204, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    asked = [(each.method, each.target, each.header("Max-Forwards")) for each in origin.requests]
    assert asked == [("OPTIONS", "*", "1"), ("OPTIONS", "*", "0")]


UNKNOWN_CODING = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: %s\r\n%s\r\nwhole"


def test_an_answer_under_an_unknown_coding_is_502_in_safe_mode(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(raw=UNKNOWN_CODING % (b"a", b"")))
    edge = serve(site(origin, policy="web"))
    assert_made_by_the_edge(get(edge.url, "/a"), 502, "http_protocol_error")
    assert edge.stats().n_entries == 0


def test_a_body_under_an_unknown_coding_ends_with_the_connection_in_rfc_mode(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(raw=UNKNOWN_CODING % (b"a", b"Connection: keep-alive\r\n")))
    edge = serve(site(origin, policy="rfc"))
    first = get(edge.url, "/a")
    assert (first.status, first.body, first.is_hit) == (200, b"whole", False)
    again = get(edge.url, "/a")
    assert (again.status, again.body, again.is_hit) == (200, b"whole", True)
    assert again["Content-Length"] == "5"
    assert "Transfer-Encoding" not in again
    assert get(edge.url, "/b").body == b"/b"
    assert origin.n_connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        UNKNOWN_CODING % (b"a", b"Content-Length: 5\r\n"),
        UNKNOWN_CODING % (b"a, chunked", b""),
        UNKNOWN_CODING % (b"chunked, a", b""),
        UNKNOWN_CODING % (b"chunked", b"Transfer-Encoding: chunked\r\n"),
        UNKNOWN_CODING % (b"a", b"Transfer-Encoding: chunked\r\n"),
        UNKNOWN_CODING % (b"gzip", b""),
        (UNKNOWN_CODING % (b"a", b"")).replace(b"1.1", b"1.0"),
    ],
)
def test_what_could_be_read_in_two_ways_is_502_in_rfc_mode_too(serve: Serve, origin: Origin, raw: bytes) -> None:
    origin.on("/a", Answer(raw=raw))
    edge = serve(site(origin, policy="rfc"))
    assert_made_by_the_edge(get(edge.url, "/a"), 502, "http_protocol_error")
    assert edge.stats().n_entries == 0


def test_fields_for_one_connection_stay_on_it(serve: Serve, origin: Origin) -> None:
    headers = {"Connection": "X-Own", "X-Own": "1", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "x", "X-A": "1"}
    origin.on("/a", Answer(b"a", headers=headers))
    edge = serve(site(origin, policy="none"))
    reply = get(edge.url, "/a", "Connection: X-Mine", "X-Mine: 1", "TE: trailers", "Keep-Alive: 5", "X-B: 1")
    assert [name for name in ("X-Own", "Keep-Alive", "X-A") if name in reply] == ["X-A"]
    (asked,) = origin.requests
    assert [name for name in ("X-Mine", "TE", "Keep-Alive", "X-B") if asked.header(name)] == ["X-B"]


def test_the_origin_sees_its_own_host_unless_told_otherwise(serve: Serve, origin: Origin) -> None:
    assert get(serve(before(HttpOrigin(origin.url))).url, "/a", host="shop.test").status == 200
    assert get(serve(before(HttpOrigin(origin.url, host="viewer"))).url, "/a", host="shop.test:81").status == 200
    assert get(serve(before(HttpOrigin(origin.url, host="www.test"))).url, "/a", host="shop.test").status == 200
    assert [each.values("host") for each in origin.requests] == [[origin.authority], ["shop.test:81"], ["www.test"]]


def test_whom_the_request_came_from_is_said_by_the_edge_alone(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"))
    lies = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6"]
    assert get(edge.url, "/a", *lies, host="shop.test").status == 200
    (asked,) = origin.requests
    assert asked.values("x-forwarded-for") == ["127.0.0.1"]
    assert asked.values("x-forwarded-host") == ["shop.test"]
    assert asked.values("x-forwarded-proto") == ["http"]
    assert "6.6.6.6" not in (asked.header("forwarded") or "")
    assert (asked.header("via") or "").endswith("bodega")


def test_a_trusted_proxy_is_believed_and_the_edge_adds_itself(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, policy="none"), trusted_proxies=["127.0.0.0/8"])
    assert get(edge.url, "/a", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https").status == 200
    (asked,) = origin.requests
    assert asked.header("x-forwarded-for") == "203.0.113.7, 127.0.0.1"
    assert asked.header("x-forwarded-proto") == "https"


def test_networks_are_matched_against_the_client_that_a_trusted_proxy_names(serve: Serve, origin: Origin) -> None:
    edge = serve(site(origin, deny="203.0.113.0/24"), trusted_proxies=["127.0.0.0/8"])
    assert get(edge.url, "/a", "X-Forwarded-For: 203.0.113.7").status == 403
    assert get(edge.url, "/a", "X-Forwarded-For: 198.51.100.7").status == 200
    edge = serve(site(origin, deny="203.0.113.0/24"))
    assert get(edge.url, "/b", "X-Forwarded-For: 203.0.113.7").status == 200, "nobody is trusted here"


def test_an_edge_that_is_its_own_origin_answers_508(serve: Serve) -> None:
    port = free_port()
    edge = serve(f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}")
    assert get(edge.url, "/a").status == 508
    wait_until(lambda: edge.stats().n_requests == 2)


def test_two_edges_that_are_each_others_origin_answer_508(serve: Serve) -> None:
    ports = [free_port(), free_port()]
    first = serve(f"http://127.0.0.1:{ports[1]}", listen=f"127.0.0.1:{ports[0]}", name="first")
    serve(f"http://127.0.0.1:{ports[0]}", listen=f"127.0.0.1:{ports[1]}", name="second")
    assert get(first.url, "/a").status == 508


def test_two_edges_in_a_row_are_no_loop(serve: Serve, origin: Origin) -> None:
    shield = serve(origin, name="shield")
    edge = serve(shield.url, name="edge")
    reply = get(edge.url, "/a")
    assert (reply.status, reply.body) == (200, b"/a")
    assert reply["Via"] == "1.1 shield, 1.1 edge"
    assert "shield" in reply["Cache-Status"].split(",")[0]
    assert len((origin.requests[0].header("cdn-loop") or "").split(",")) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_passed_on_and_not_followed(serve: Serve, origin: Origin, status: int) -> None:
    origin.on("/a", Answer(status=status, headers={"Location": "https://elsewhere.test/b", "Content-Length": "0"}))
    edge = serve(origin)
    reply = get(edge.url, "/a")
    assert (reply.status, reply["Location"]) == (status, "https://elsewhere.test/b")
    assert origin.n_requests == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_streams_to_the_origin_while_it_comes(serve: Serve, origin: Origin, chunked: bool) -> None:
    origin.on("*", lambda request: Answer(request.body))
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 10"
        wire.send(b"PUT /a HTTP/1.1\r\nHost: e\r\n", framing, b"\r\n\r\n", b"5\r\nfirst\r\n" if chunked else b"first")
        wait_until(lambda: origin.n_body_bytes == 5)
        wire.send(b"5\r\n-last\r\n0\r\n\r\n" if chunked else b"-last")
        assert wire.reply().body == b"first-last"
    assert origin.n_requests == 1


def test_a_large_upload_goes_through_unchanged(serve: Serve, origin: Origin) -> None:
    origin.on("*", lambda request: Answer(request.body))
    edge = serve(site(origin, policy="none"))
    content = bytes(range(256)) * 80_000
    with Wire(edge.url) as wire:
        sending = threading.Thread(target=wire.send, args=(request("/a", method="POST", body=content),))
        sending.start()
        assert wire.reply().body == content
        sending.join()
    wait_until(lambda: edge.stats().received_bytes == len(content))


def test_cookies_of_an_answer_stay_apart(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(b"a", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2015")]))
    edge = serve(site(origin, policy="none"))
    assert get(edge.url, "/a").all("Set-Cookie") == ["a=1", "b=2; Expires=Wed, 21 Oct 2015"]


@pytest.mark.parametrize("status", [200, 204, 304, 404, 410, 500, 503])
def test_statuses_are_passed_on_with_the_connection_usable(serve: Serve, origin: Origin, status: int) -> None:
    origin.on("/a", Answer(b"" if status in (204, 304) else b"body", status=status))
    edge = serve(site(origin, policy="none"))
    with Wire(edge.url) as wire:
        reply = wire.get("/a")
        assert (reply.status, reply.body) == (status, b"" if status in (204, 304) else b"body")
        assert wire.get("/b").body == b"/b"


def make_certificates(folder: Path, name: str) -> ssl.SSLContext:
    """Make an authority, and a certificate of it for a name, with the openssl command."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    kind = "IP" if name[0].isdigit() else "DNS"
    (folder / "names").write_text(f"subjectAltName={kind}:{name}\n")
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    openssl("x509", "-req", "-in", "server.csr", *authority, "-out", "server.pem", "-days", "2", "-extfile", "names")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_tls_origin_is_verified_by_the_authority_named_for_it(serve: Serve, tmp_path: Path, host: str) -> None:
    tls = make_certificates(tmp_path, host)
    with Origin({"*": Answer(b"secret", headers=KEPT)}, tls=tls) as origin:
        url = f"https://{host}:{origin.port}"
        edge = serve(before(HttpOrigin(url, ca_file=str(tmp_path / "ca.pem"))))
        for path in ("/a", "/b"):
            assert get(edge.url, path).body == b"secret"
        assert origin.n_connections == 1
        assert origin.requests[0].header("host") == f"{host}:{origin.port}"


def test_a_tls_origin_that_nobody_vouches_for_is_502(serve: Serve, tmp_path: Path) -> None:
    tls = make_certificates(tmp_path, "localhost")
    with Origin({"*": Answer(b"secret")}, tls=tls) as origin:
        unknown = serve(before(HttpOrigin(f"https://localhost:{origin.port}")))
        assert_made_by_the_edge(get(unknown.url, "/a"), 502, "tls_protocol_error")
        wrong_name = serve(before(HttpOrigin(f"https://127.0.0.1:{origin.port}", ca_file=str(tmp_path / "ca.pem"))))
        assert_made_by_the_edge(get(wrong_name.url, "/a"), 502, "tls_protocol_error")
    assert origin.n_requests == 0


def test_a_plain_origin_behind_https_is_502(serve: Serve, origin: Origin) -> None:
    plain = serve(origin)
    edge = serve(plain.url.replace("http:", "https:"))
    assert_made_by_the_edge(get(edge.url, "/a"), 502, "tls_protocol_error")
