"""Origins that stop answering: what another origin of the group, what is stored, and what nobody can answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.conftest import KEPT, Serve
from tests.integration.exposition import parse_exposition
from tests.integration.wire import Reply, Wire, get, request

from bodega.distributions import Behavior, Declarations, Distribution, Health, HttpOrigin, OriginGroup
from bodega.testing import Answer, Origin, free_port, wait_until

STALE = {"Cache-Control": "max-age=0, stale-if-error=3600"}
NEVER = Health(max_failures=1, retry_after="1h")
"""Failing after one failure, for longer than any test."""
SOON = Health(max_failures=1, retry_after="10ms")


def declared(*behaviors: Behavior, **origins: HttpOrigin | OriginGroup) -> Declarations:
    return Declarations(origins=origins, distributions=[Distribution("site", behaviors=behaviors)])


def before(origin: HttpOrigin, *, policy: Any = "web") -> Declarations:
    return declared(Behavior(origin="site", policy=policy), site=origin)


def group(first: HttpOrigin, second: HttpOrigin, *, policy: Any = "web", **group: Any) -> Declarations:
    return declared(Behavior(origin="site", policy=policy), a=first, b=second, site=OriginGroup(["a", "b"], **group))


@pytest.fixture
def second() -> Iterator[Origin]:
    with Origin({"*": Answer(b"second", headers=KEPT)}) as origin:
        yield origin


FAILURES = {
    "reset": Answer(reset=True),
    "closed before the head": Answer(drop=True),
    "broken off within the head": Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "malformed": Answer(raw=b"220 smtp.example.com ESMTP\r\n\r\n"),
    "no answer in time": Answer(b"late", before=threading.Event()),
    **{str(status): Answer(b"sorry", status=status) for status in (500, 502, 503, 504)},
}


def impatient(origin: Origin, **more: Any) -> HttpOrigin:
    return HttpOrigin(origin.url, first_byte_timeout="200ms", attempts=1, **more)


def assert_stale(reply: Reply) -> None:
    assert (reply.status, reply.body) == (200, b"first"), reply
    assert "fwd=stale" in reply["Cache-Status"]
    assert "detail=if-error" in reply["Cache-Status"]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_what_is_stored_answers_for_an_origin_that_fails(serve: Serve, origin: Origin, failure: Answer) -> None:
    origin.on("/a", [Answer(b"first", headers=STALE), failure])
    edge = serve(before(impatient(origin)))
    assert get(edge.url, "/a").body == b"first"
    assert_stale(get(edge.url, "/a"))
    assert_stale(get(edge.url, "/a"))


def test_what_is_stored_answers_for_an_origin_that_is_down_until_it_is_up(serve: Serve, origin: Origin) -> None:
    origin.on("/a", [Answer(b"first", headers=STALE), Answer(b"next", headers=STALE)])
    edge = serve(before(HttpOrigin(origin.url, health=SOON)))
    assert get(edge.url, "/a").body == b"first"
    origin.stop()
    for _ in range(3):
        assert_stale(get(edge.url, "/a"))
    assert get(edge.url, "/b").status == 502, "not stored"
    origin.start()
    wait_until(lambda: get(edge.url, "/a").body == b"next")
    assert edge.stats().failing == {}


def test_what_is_stored_answers_where_no_name_of_a_group_is_found(serve: Serve, origin: Origin) -> None:
    origin.on("/a", Answer(b"first", headers=STALE))
    edge = serve(group(HttpOrigin(origin.url), HttpOrigin("http://no-such-host.invalid:9")))
    assert get(edge.url, "/a").body == b"first"
    origin.stop()
    assert_stale(get(edge.url, "/a"))
    assert get(edge.url, "/b")["Proxy-Status"] == "bodega; error=dns_error"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_is_stored_never_answers_for_an_answer(serve: Serve, origin: Origin, status: int) -> None:
    origin.on(
        "/a", [Answer(b"first", headers=STALE), Answer(b"no", status=status, headers={"Cache-Control": "no-store"})]
    )
    edge = serve(before(HttpOrigin(origin.url)))
    assert get(edge.url, "/a").body == b"first"
    reply = get(edge.url, "/a")
    assert (reply.status, reply.body) == (status, b"no")


@pytest.mark.parametrize(
    "control",
    [
        f"{STALE['Cache-Control']}, must-revalidate",
        f"{STALE['Cache-Control']}, proxy-revalidate",
        f"{STALE['Cache-Control']}, no-cache",
        # Includes what `proxy-revalidate` says, unless the answer names a window of its own.
        "s-maxage=0",
    ],
)
@pytest.mark.parametrize("failure", ["refused", "503"])
def test_what_must_be_validated_never_answers_for_an_origin_that_fails(
    serve: Serve, origin: Origin, control: str, failure: str
) -> None:
    headers = {"Cache-Control": control, "ETag": '"a"'}
    origin.on("/a", [Answer(b"first", headers=headers), Answer(b"sorry", status=503)])
    edge = serve(before(HttpOrigin(origin.url, health=NEVER)))
    assert get(edge.url, "/a").body == b"first"
    if failure == "refused":
        origin.stop()
    for _ in range(3):
        reply = get(edge.url, "/a")
        assert reply.status == (502 if failure == "refused" else 503)
        assert b"first" not in reply.body


def test_a_window_beside_s_maxage_counts(serve: Serve, origin: Origin) -> None:
    headers = {"Cache-Control": f"{STALE['Cache-Control']}, s-maxage=0", "ETag": '"a"'}
    origin.on("/a", [Answer(b"first", headers=headers), Answer(b"sorry", status=503)])
    edge = serve(before(HttpOrigin(origin.url, health=NEVER)))
    assert get(edge.url, "/a").body == b"first"
    assert_stale(get(edge.url, "/a"))


def test_nobody_waits_twice_for_an_origin_that_hangs_where_something_is_stored(serve: Serve, origin: Origin) -> None:
    origin.on("/a", [Answer(b"first", headers=STALE), Answer(b"late", before=threading.Event())])
    edge = serve(before(impatient(origin, health=NEVER)))
    assert get(edge.url, "/a").body == b"first"
    for _ in range(10):
        assert_stale(get(edge.url, "/a"))
    assert origin.n_started == 2
    assert list(edge.stats().failing) == ["site"]
    # What is not stored is asked for all the same, and its answer ends the failing.
    assert get(edge.url, "/b").status == 200
    assert edge.stats().failing == {}


def test_an_origin_that_is_to_be_given_a_rest_is_not_asked(serve: Serve) -> None:
    health = Health(max_failures=2, retry_after="1h", fail_fast=True)
    edge = serve(before(HttpOrigin(f"http://127.0.0.1:{free_port()}", health=health)))
    assert [get(edge.url, "/a").status for _ in range(2)] == [502, 502]
    for method in ("GET", "POST"):
        with Wire(edge.url) as wire:
            reply = wire.get("/a", method=method)
        assert (reply.status, reply["Proxy-Status"]) == (503, "bodega; error=destination_unavailable")
        assert 2600 < int(reply["Retry-After"]) <= 3600
        assert reply["Cache-Control"] == "no-store"
        assert "detail=origin-down" in reply["Cache-Status"]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_the_second_origin_answers_for_the_first(serve: Serve, origin: Origin, second: Origin, failure: Answer) -> None:
    origin.on("*", failure)
    edge = serve(group(impatient(origin), HttpOrigin(second.url)))
    reply = get(edge.url, "/a", "Accept-Language: de")
    assert (reply.status, reply.body) == (200, b"second")
    assert second.requests[0].header("accept-language") == "de"
    assert get(edge.url, "/a").is_hit
    assert edge.stats().failovers == {"site": 1}


def test_a_first_origin_that_is_stopped_and_started_again(serve: Serve, origin: Origin, second: Origin) -> None:
    edge = serve(group(HttpOrigin(origin.url, health=SOON), HttpOrigin(second.url)), admin="127.0.0.1:0")

    admin = edge.admin_url or ""

    def by_origin(metric: str) -> dict[str, float]:
        shown = parse_exposition(get(admin, "/metrics", host=admin.removeprefix("http://")).body.decode())
        return {sample.labels["origin"]: sample.value for sample in shown[metric].samples}

    assert get(edge.url, "/1").body == b"/1"
    assert by_origin("cdn_origin_up") == {"a": 1, "b": 1}
    origin.stop()
    for path in ("/2", "/3", "/4"):
        assert get(edge.url, path).body == b"second"
    assert by_origin("cdn_origin_up") == {"a": 0, "b": 1}
    assert edge.stats().failovers == {"site": 3}
    assert by_origin("cdn_origin_failovers_total") == {"site": 3}
    origin.start()
    numbers = iter(range(5, 100_000))

    def answers() -> bool:
        path = f"/{next(numbers)}"
        return get(edge.url, path).body == path.encode()

    wait_until(answers)
    assert by_origin("cdn_origin_up") == {"a": 1, "b": 1}
    assert answers()


def test_a_failing_first_origin_is_not_asked_at_all(serve: Serve, origin: Origin, second: Origin) -> None:
    origin.on("*", Answer(b"sorry", status=503))
    edge = serve(group(HttpOrigin(origin.url, health=NEVER), HttpOrigin(second.url)), threads=2)
    assert [get(edge.url, f"/{number}").body for number in range(10)] == [b"second"] * 10
    assert origin.n_requests == 1


def test_the_last_answer_of_a_group_is_handed_on_and_then_stale(serve: Serve, origin: Origin, second: Origin) -> None:
    origin.on("/a", [Answer(b"first", headers=STALE), Answer(b"sorry", status=503)])
    origin.on("/b", Answer(b"sorry", status=503))
    second.on("*", Answer(b"sorry, too", status=504))
    edge = serve(group(HttpOrigin(origin.url), HttpOrigin(second.url)))
    assert get(edge.url, "/a").body == b"first"
    assert_stale(get(edge.url, "/a"))
    reply = get(edge.url, "/b")
    assert (reply.status, reply.body) == (504, b"sorry, too")


def test_a_status_that_is_not_listed_stays_with_the_first(serve: Serve, origin: Origin, second: Origin) -> None:
    origin.on("/a", Answer(b"sorry", status=503))
    origin.on("/b", Answer(b"where?", status=404))
    edge = serve(group(HttpOrigin(origin.url), HttpOrigin(second.url), failover=[404]))
    assert get(edge.url, "/a").status == 503
    assert get(edge.url, "/b").body == b"second"


def test_an_order_is_never_taken_to_the_second(serve: Serve, origin: Origin, second: Origin) -> None:
    origin.on("*", Answer(b"sorry", status=503))
    edge = serve(group(HttpOrigin(origin.url), HttpOrigin(second.url), policy="none"))
    with Wire(edge.url) as wire:
        assert wire.send(request("/a", method="POST", body=b"pay")).reply().status == 503
    origin.stop()
    with Wire(edge.url) as wire:
        assert wire.send(request("/a", method="POST", body=b"pay")).reply().status == 502
    assert second.n_requests == 0


def test_a_reload_makes_a_group_of_an_origin_that_is_down_and_loses_nothing(
    serve: Serve, origin: Origin, second: Origin
) -> None:
    origin.on("/a", Answer(b"first", headers=KEPT))
    first = HttpOrigin(origin.url)
    edge = serve(declared(Behavior(origin="a"), a=first))
    assert get(edge.url, "/a").body == b"first"
    origin.stop()
    assert get(edge.url, "/b").status == 502
    edge.reload(group(first, HttpOrigin(second.url)))
    assert get(edge.url, "/b").body == b"second"
    kept = get(edge.url, "/a")
    assert (kept.is_hit, kept.body) == (True, b"first")


def test_a_question_that_changes_nothing_goes_to_the_next_origin_and_an_order_does_not(
    serve: Serve, origin: Origin
) -> None:
    origin.on("*", lambda received: Answer(received.body, headers=KEPT))
    behaviors = [
        Behavior("/search", origin="site", policy="web", body_key="json"),
        Behavior(origin="site", policy="web"),
    ]
    gone = HttpOrigin(f"http://127.0.0.1:{free_port()}", attempts=1)
    edge = serve(declared(*behaviors, a=gone, b=HttpOrigin(origin.url), site=OriginGroup(["a", "b"])))

    def post(target: str, content: bytes) -> Reply:
        with Wire(edge.url) as wire:
            wire.send(request(target, "Content-Type: application/json", method="POST", body=content))
            return wire.reply("POST")

    for content, said in [(b'{"q": 1}', "; stored"), (b'{"q":1}', "; hit"), (b"no JSON", "fwd=bypass")]:
        reply = post("/search", content)
        assert reply.status == 200
        assert said in reply["Cache-Status"]
        assert reply.body in (content, b'{"q": 1}')
    assert post("/orders", b'{"q": 1}').status == 502
    assert [received.target for received in origin.requests] == ["/search", "/search"]
