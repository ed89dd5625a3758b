"""What can be between an edge and its control process: nothing, silence, a refusal, nonsense, another edge's name."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.integration.control.conftest import ControlProcess, register
from tests.integration.control.edges import (
    Follow,
    command,
    edges,
    follow,
    following,
    get,
    is_hit,
    level,
    origin,
    publish,
    purge,
    serves,
    stop,
    token,
)
from tests.integration.edge.conftest import EdgeCommand, Origin, wait_until

from bodega.testing import Network, free_port

__all__ = ["command", "follow", "origin", "token"]


@pytest.fixture(autouse=True)
def kept_an_hour(origin: Origin) -> None:
    origin.headers["Cache-Control"] = "max-age=3600"


# Polling.


def test_an_edge_that_polls_gets_everything_and_is_here_in_between(
    client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    edge = follow("tokyo-1", "--follow", "poll", "--poll-every", "2s")
    assert get(edge).startswith("200")
    assert is_hit(edge)
    said = purge(client)
    done = client.get(f"/v1/invalidations/{said['id']}", params={"wait": 30}).json()
    assert list(done["applied"]) == ["tokyo-1"]
    assert not is_hit(edge)
    # Longer than an edge that streams may be silent.
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert edges(client)["tokyo-1"]["is_here"]
        time.sleep(0.2)
    said = following(edge)
    assert (said["is_cut"], said["revision"]) == (False, 1)
    assert said["level_age_seconds"] is not None


def test_an_edge_that_polls_goes_on_after_a_cut(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        edge = follow("tokyo-1", "--follow", "poll", "--poll-every", "1s", url=relay.url)
        assert get(edge).startswith("200")
        relay.refuse()
        edge.wait_said("cut off from")
        assert is_hit(edge)
        purge(client)
        relay.accept()
        edge.wait_said("again")
        wait_until(lambda: not is_hit(edge))
        stop(edge)


# Names and tokens.


def test_the_second_of_two_edges_with_one_name_is_refused_and_forgets_all_the_same(
    client: httpx.Client, origin: Origin, follow: Follow, command: Callable[..., EdgeCommand], token: Path
) -> None:
    publish(client, origin)
    first = follow("tokyo-1")
    second = follow("tokyo-1", has_disk=False)
    second.wait_said('another edge that is called "tokyo-1" is here')
    for edge in (first, second):
        assert get(edge).startswith("200")
        assert is_hit(edge)
    purge(client)
    wait_until(lambda: not is_hit(first))
    wait_until(lambda: not is_hit(second))
    # Nothing is proved of one that nobody waits for, but what its own questions are answered.
    assert edges(client)["tokyo-1"]["is_here"]
    stop(first)
    # The name is free then.
    wait_until(level(client, "tokyo-1"))
    assert not first.has_said("another edge")


def test_a_token_that_is_taken_away_is_named_and_another_one_is_taken_from_the_same_file(
    client: httpx.Client, origin: Origin, follow: Follow, token: Path
) -> None:
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(serves(edge))
    [made] = [each for each in client.get("/v1/tokens").json() if each["name"] == "edges"]
    assert client.delete(f"/v1/tokens/{made['id']}").status_code == 204
    edge.wait_said("401")
    assert is_hit(edge)
    # Once, and not every few seconds.
    time.sleep(2)
    assert sum("401" in line for line in edge.lines) <= 2
    another = client.post("/v1/tokens", json={"name": "edges-2", "scopes": ["edges"]}).json()
    token.write_text(another["token"])
    wait_until(level(client, "tokyo-1"))


def test_a_token_of_one_edge_is_for_that_edge(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow, tmp_path: Path
) -> None:
    publish(client, origin)
    answer = client.post("/v1/edges/invitations", json={"name": "tokyo-1", "region": "ap-northeast-1"})
    assert answer.status_code == 201, answer.text
    bound = tmp_path / "tokyo.token"
    bound.write_text(answer.json()["token"])
    options = ("--control-token-file", str(bound), "--region", "ap-northeast-1")
    edge = follow("tokyo-1", *options)
    wait_until(level(client, "tokyo-1"))
    assert get(edge).startswith("200")
    other = follow("paris-1", *options)
    other.wait_said("tokyo-1")
    other.wait_said("serving cut off")
    assert "paris-1" not in edges(client)


def test_one_that_was_taken_out_of_the_fleet_registers_again(
    client: httpx.Client, origin: Origin, follow: Follow
) -> None:
    publish(client, origin)
    edge = follow("tokyo-1")
    wait_until(level(client, "tokyo-1"))
    assert client.delete("/v1/edges/tokyo-1").status_code == 204
    wait_until(level(client, "tokyo-1"))
    assert get(edge).startswith("200")


def test_one_that_ends_in_order_is_waited_for_by_nobody(client: httpx.Client, origin: Origin, follow: Follow) -> None:
    # How often it is heard of is no measure then.
    options = ("--follow", "poll", "--poll-every", "10m")
    edge = follow("tokyo-1", *options, has_disk=False)
    assert edges(client)["tokyo-1"]["is_here"]
    stop(edge)
    assert edges(client)["tokyo-1"]["is_here"] is False
    # Nor does the next one of that name wait, which knows nothing of this one.
    edge = follow("tokyo-1", *options, has_disk=False)
    assert edges(client)["tokyo-1"]["is_here"]
    assert not edge.has_said("is here")


def test_an_edge_says_what_it_is(control: ControlProcess, client: httpx.Client, follow: Follow) -> None:
    options = ("--region", "ap-northeast-1", "--place=35.7,139.7", "--kind", "shield", "--capacity", "2.5")
    edge = follow("tokyo-1", *options)
    edge.wait_said(f"follows {control.url}: it says what is served, and purges go there")
    assert not edge.has_said("kill -HUP")
    wait_until(level(client, "tokyo-1"))
    said = edges(client)["tokyo-1"]
    assert (said["region"], said["place"], said["kind"]) == ("ap-northeast-1", [35.7, 139.7], "shield")
    assert (said["capacity"], said["version"]) == (2.5, "0.1.0")
    wait_until(lambda: edges(client)["tokyo-1"]["load"] > 0)


def test_a_name_that_nobody_knows_is_named(command: Callable[..., EdgeCommand], token: Path) -> None:
    link = ("--control", "https://control.invalid", "--control-token-file", str(token))
    edge = command("--listen", "127.0.0.1:0", "--admin", "off", *link, "--catch-up-wait", "0s")
    edge.wait_said("control.invalid is no name that is known here")
    edge.wait_said("serving cut off")


def test_where_nobody_listens(command: Callable[..., EdgeCommand], token: Path) -> None:
    link = ("--control", f"http://127.0.0.1:{free_port()}", "--control-token-file", str(token))
    edge = command("--listen", "127.0.0.1:0", "--admin", "off", *link, "--catch-up-wait", "0s")
    edge.wait_said("nobody listens there")


# Silence: a connection of which only one end is left.


@pytest.mark.parametrize("way", ["there", "back", "both"])
def test_a_line_that_is_silent_is_a_cut(
    control: ControlProcess, client: httpx.Client, origin: Origin, follow: Follow, way: str
) -> None:
    publish(client, origin)
    with Network() as network:
        relay = network.relay(control.url.removeprefix("http://"))
        edge = follow("tokyo-1", url=relay.url)
        wait_until(serves(edge))
        assert is_hit(edge)
        wait_until(lambda: following(edge)["level_age_seconds"] is not None)
        relay.stall(way)  # type: ignore[arg-type]
        # No three seconds on this side are needed for the control process: it hears nothing either, or is not heard.
        wait_until(lambda: following(edge)["is_cut"] or (following(edge)["level_age_seconds"] or 0) > 3)
        assert is_hit(edge)
        said = purge(client)
        relay.resume()
        wait_until(level(client, "tokyo-1"))
        assert list(client.get(f"/v1/invalidations/{said['id']}").json()["applied"]) == ["tokyo-1"]
        assert not is_hit(edge)
        stop(edge)


# Nonsense.


class Babbler:
    """Answers whatever it is asked with the same bytes, and counts."""

    def __init__(self, say: Callable[[bytes], Iterator[bytes]]) -> None:
        self._say = say
        self.n_asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                each.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(peer)
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = peer.recv(65536)
                if not piece:
                    return
                head += piece
            self.n_asked += 1
            for piece in self._say(head):
                peer.sendall(piece)
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            return


def answered(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


PLACE = {"journal": "a" * 32, "epoch": "b" * 16, "position": 0, "chain": "c" * 32}


def hello(**more: object) -> bytes:
    return json.dumps({"kind": "hello", **PLACE, **more}).encode() + b"\n"


def lines(*said: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """Answer questions as a control process might, and the stream with these lines."""

    def say(head: bytes) -> Iterator[bytes]:
        if b"/v1/journal/stream" not in head:
            yield answered(b'{"revision": 1, "text": "", "position": 0, "drained": false}')
            return
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        yield from said

    return say


def always(answer: bytes) -> Callable[[bytes], Iterator[bytes]]:
    def say(_: bytes) -> Iterator[bytes]:
        yield answer

    return say


def endless(head: bytes) -> Iterator[bytes]:
    yield from lines()(head)
    if b"/v1/journal/stream" in head:
        for _ in range(40):
            yield b"x" * (1 << 20)


NONSENSE: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "no HTTP": always(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "nothing": always(b""),
    "a page": always(answered(b"<html>hello</html>")),
    "a list": always(answered(b"[1, 2]")),
    "a redirect": always(answered(b"", "302 Found\r\nLocation: http://127.0.0.1/")),
    "an error in another form": always(answered(b'{"error": 5}', "500 Internal Server Error")),
    "a head without end": always(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000),
    "deep": always(answered(b"[" * 200_000)),
    "no lines": lines(b"<html>"),
    "a line that is no object": lines(b"[]\n", b"5\n", b"null\n"),
    "hello without a place": lines(b'{"kind": "hello"}\n'),
    "hello of another form": lines(hello(position="0")),
    "hello with a place that is none": lines(hello(journal="x")),
    "hello with a position that is none": lines(hello(position=-1)),
    "a batch before anything": lines(b'{"kind":"batch"}\n'),
    "a batch that is none": lines(hello(), b'{"kind":"batch","events":5}\n'),
    "a line without end": endless,
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_ends_nothing_and_is_told_once(
    command: Callable[..., EdgeCommand], token: Path, tmp_path: Path, what: str
) -> None:
    file = tmp_path / "first.toml"
    file.write_text('[distributions.first]\nbehaviors = [{ answer = { status = 299, body = "x" } }]\n')
    with ExitStack() as stack:
        babbler = Babbler(NONSENSE[what])
        stack.callback(babbler.close)
        link = ("--control", babbler.url, "--control-token-file", str(token), "--catch-up-wait", "0s")
        edge = command(str(file), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *link)
        edge.wait_said("cut off from")
        asked = babbler.n_asked
        # It asks again and again, more and more slowly, and serves.
        wait_until(lambda: babbler.n_asked > asked + 1)
        assert edge.process.poll() is None
        assert httpx.get(edge.url, trust_env=False).status_code in (200, 299, 421)
        assert sum("cut off from" in line for line in edge.lines) <= 3
        memory = next(line for line in Path(f"/proc/{edge.pid}/status").read_text().splitlines() if "VmHWM" in line)
        assert int(memory.split()[1]) < 600 << 10
        stop(edge)
    assert edge.process.returncode == 0


def test_what_a_later_version_says_besides_is_no_mistake(
    command: Callable[..., EdgeCommand], token: Path, tmp_path: Path
) -> None:
    def say(head: bytes) -> Iterator[bytes]:
        yield from lines(hello(of_later=[1]), b'{"kind": "novelty", "of_later": {}}\n')(head)
        if b"/v1/journal/stream" in head:
            while not over.wait(0.5):
                yield json.dumps({"kind": "heartbeat", **PLACE, "of_later": 1}).encode() + b"\n"

    over = threading.Event()
    with ExitStack() as stack:
        babbler = Babbler(say)
        stack.callback(babbler.close)
        stack.callback(over.set)
        link = ("--control", babbler.url, "--control-token-file", str(token), "--catch-up-wait", "30s")
        edge = command("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *link)
        said = following(edge)
        assert (said["is_cut"], said["position"], said["behind"], said["revision"]) == (False, 0, 0, 1)
        assert not edge.has_said("cut off")
        stop(edge)


# One process after the other.


def test_a_successor_is_the_edge_of_that_name_at_once(client: httpx.Client, origin: Origin, follow: Follow) -> None:
    publish(client, origin)
    old = follow("tokyo-1", has_disk=False)
    wait_until(level(client, "tokyo-1"))
    statuses: list[int] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            statuses.append(httpx.get(f"{old.url}/a", headers={"Host": "shop.test"}, trust_env=False).status_code)

    clients = [threading.Thread(target=load) for _ in range(2)]
    for each in clients:
        each.start()
    try:
        new = follow("tokyo-1", "--take-over", str(old.pid), has_disk=False)
        assert old.process.wait(40) == 0
        said = purge(client)
        done = client.get(f"/v1/invalidations/{said['id']}", params={"wait": 30}).json()
    finally:
        over.set()
        for each in clients:
            each.join(30)
    assert list(done["applied"]) == ["tokyo-1"]
    assert set(statuses) == {200}
    for edge in (old, new):
        assert not edge.has_said("is here")
    assert register(client, "tokyo-1").status_code == 409
