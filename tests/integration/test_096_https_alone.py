"""What a distribution says of HTTPS, over sockets: the redirect to it, HSTS, and a key for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.wire import Wire, get

from bodega.testing import Origin

if TYPE_CHECKING:
    from tests.certificates import Authority
    from tests.integration.conftest import Front

HSTS = "max-age=31536000"


def test_the_redirect_leads_to_where_the_edge_speaks_tls(origin: Origin, front: Front, authority: Authority) -> None:
    with front(origin, distribution={"viewer_protocol": "redirect-to-https"}) as edge:
        moved = get(edge.url, "/a?b=1", host=f"edge.test:{edge.port}")
        assert (moved.status, moved["Location"]) == (301, f"https://edge.test:{edge.tls_port}/a?b=1")
        assert get(edge.url, "/a", host="edge.test")["Location"] == "https://edge.test/a"
        with Wire(edge.tls, tls=authority.trusting()) as wire:
            assert wire.get("/a?b=1", host=f"edge.test:{edge.tls_port}").body == b"/a?b=1"
        assert len(origin.requests) == 1
        assert edge.count("cdn_requests_total", outcome="redirect") == 2


def test_a_hit_over_tls_says_hsts_and_one_without_does_not(origin: Origin, front: Front, authority: Authority) -> None:
    with (
        front(origin, distribution={"hsts": "1y"}) as edge,
        Wire(edge.tls, tls=authority.trusting()) as tls,
        Wire(edge.url) as plain,
    ):
        for is_hit in (False, True):
            secure, open_ = tls.get("/a"), plain.get("/a")
            assert (secure.is_hit, open_.is_hit) == (is_hit, is_hit)
            assert secure.all("Strict-Transport-Security") == [HSTS]
            assert "Strict-Transport-Security" not in open_
        # Two pipelined hits: the line is within its head, and the body begins where it should.
        request = b"GET /a HTTP/1.1\r\nHost: edge.test\r\n\r\n"
        tls.send(request, request)
        for _ in range(2):
            reply = tls.reply()
            assert (reply.body, reply["Strict-Transport-Security"]) == (b"/a", HSTS)
        told = [value for asked in origin.requests for value in asked.values("X-Forwarded-Proto")]
        assert sorted(told) == ["http", "https"]
