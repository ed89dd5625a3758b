"""Predictions byte by byte: where a body lies whole behind its head it is answered at once, and must leave no trace."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from tests.integration.edge.conftest import wait_until
from tests.integration.inference import onnx_models
from tests.integration.inference.test_predict import n_computed, serve
from tests.integration.wire import Reply, Wire

from bodega import EdgeServer, Model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeServer]:
    path: Path = onnx_models.linear(tmp_path_factory.mktemp("models") / "fraud.onnx", [1.0, 2.0, -4.0])
    with serve(Model(str(path), max_body="1000B")) as running:
        yield running


def asked(body: object, *fields: str, path: str = "/predict", version: str = "1.1", length: bool = True) -> bytes:
    """Write a request; bytes are sent as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/{version}", "Host: edge.test", *fields]
    if length:
        lines.append(f"Content-Length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


def predicted(reply: Reply) -> tuple[float, bool]:
    assert reply.status == 200, reply
    answer = json.loads(reply.body)
    return answer["prediction"], answer["cached"]


def received(edge: EdgeServer) -> int:
    lines = [line for line in edge.prometheus().splitlines() if line.startswith("cdn_received_bytes_total")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_requests_in_one_piece_are_answered_in_their_order(edge: EdgeServer) -> None:
    with Wire(edge.url) as wire:
        inputs = [[1, 0, number] for number in range(30)]
        for is_cached in (False, True):
            # Hits and misses mixed the second time: what is new waits, and what is behind it with it.
            news = [[2, number, 0] for number in range(10)] if is_cached else []
            requests = [*inputs, *news]
            wire.send(*(asked({"features": row}) for row in requests))
            for row in requests:
                expected = row[0] + 2 * row[1] - 4 * row[2]
                assert predicted(wire.reply()) == (expected, row in inputs and is_cached), row
        wire.send(asked({"features": [[5, 0, 0], [1, 0, 1]]}, path="/batch_predict"), asked({"features": [5, 0, 0]}))
        answer = json.loads(wire.reply().body)
        assert (answer["predictions"], answer["cached"]) == ([5.0, -3.0], [False, True])
        assert predicted(wire.reply()) == (5.0, True)


def test_a_body_in_pieces_is_the_same_body(edge: EdgeServer) -> None:
    whole = asked({"features": [7, 0, 0]})
    head = whole.index(b"\r\n\r\n") + 4
    with Wire(edge.url) as wire:
        assert predicted(wire.send(whole).reply()) == (7.0, False)
        for cut in (10, head - 1, head, head + 1, len(whole) - 1):
            wire.send(whole[:cut])
            # The pieces come apart as far as can be had; together they are right as well.
            time.sleep(0.02)
            assert predicted(wire.send(whole[cut:]).reply()) == (7.0, True), cut
        # The end of one and the beginning of the next in one piece.
        wire.send(whole[:head]).send(whole[head:] + whole[: head + 3]).send(whole[head + 3 :])
        assert [predicted(wire.reply()) for _ in range(2)] == [(7.0, True)] * 2


def test_codings_and_expectations_go_the_long_way_and_end_the_same(edge: EdgeServer) -> None:
    data = b'{"features":[8,0,0]}'
    chunks = b"5\r\n" + data[:5] + b"\r\n%x\r\n" % len(data[5:]) + data[5:] + b"\r\n0\r\n\r\n"
    with Wire(edge.url) as wire:
        wire.send(asked(chunks, "Transfer-Encoding: chunked", length=False), asked(data))
        assert [predicted(wire.reply()) for _ in range(2)] == [(8.0, False), (8.0, True)]
        # Who does not wait to be told to go on is not told, or is; both answers come.
        wire.send(asked(data, "Expect: 100-continue"), asked(data))
        assert [predicted(wire.reply()) for _ in range(2)] == [(8.0, True)] * 2
        wire.send(asked(data, version="1.0"))
        reply = wire.reply()
        assert (predicted(reply), reply["Connection"]) == ((8.0, True), "close")
        assert wire.is_ended()
    with Wire(edge.url) as wire:
        wire.send(asked(data, "Connection: keep-alive", version="1.0"), asked(data, "Connection: close"))
        assert predicted(wire.reply()) == (8.0, True)
        assert predicted(wire.reply()) == (8.0, True)
        assert wire.is_ended()


def test_what_is_refused_leaves_the_next_request_where_it_is(edge: EdgeServer) -> None:
    good, before = asked({"features": [9, 0, 0]}), n_computed(edge)
    with Wire(edge.url) as wire:
        for bad, status in (
            (asked(b"{"), 400),
            (asked(b""), 400),
            (asked({"features": [1, 2]}), 400),
            (asked({"features": ["x"] * 3}), 400),
            (asked(b'{"features":[1,2,3],"x":"' + b"x" * 1_000 + b'"}'), 413),
            # Whole behind its head, and nobody reads it: it is not taken for a request all the same.
            (asked(good, path="/elsewhere"), 404),
        ):
            wire.send(bad, good)
            assert wire.reply().status == status, bad
            assert predicted(wire.reply())[0] == 9.0
    assert n_computed(edge) == before + 1


@pytest.mark.parametrize("field", ["Expect: 100-continue", "Accept: */*"])
def test_what_is_too_long_is_refused_for_its_head(edge: EdgeServer, field: str) -> None:
    """The client was told to go on, and as much was read as the limit is."""
    with Wire(edge.url) as wire:
        wire.send(asked(b"", field, "Content-Length: 9999999", length=False))
        reply = wire.reply()
        assert (reply.status, "9999999" in json.loads(reply.body)["error"]) == (413, True), reply


def test_what_was_received_is_counted_however_it_came(edge: EdgeServer) -> None:
    data = b'{"features":[10,0,0]}'
    whole = asked(data)
    # What was answered is counted a moment later: also what other tests have asked.
    before, seen = received(edge), -1
    while before != seen:
        time.sleep(0.05)
        before, seen = received(edge), before
    with Wire(edge.url) as wire:
        wire.send(whole).reply()
        wire.send(whole).reply()
        wire.send(whole[: -len(data)])
        time.sleep(0.02)
        wire.send(data).reply()
    wait_until(lambda: received(edge) == before + 3 * len(data))


def test_equal_inputs_at_once_are_computed_once(edge: EdgeServer) -> None:
    before = n_computed(edge)
    wires = [Wire(edge.url) for _ in range(20)]
    try:
        for wire in wires:
            wire.send(asked({"features": [11, 0, 0]}))
        assert {predicted(wire.reply())[0] for wire in wires} == {11.0}
    finally:
        for wire in wires:
            wire.close()
    assert n_computed(edge) == before + 1
