"""What a relay does to a connection: delays that keep order, stalls nobody is told of, cuts, refusals; by seed."""

from __future__ import annotations

import itertools
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bodega.testing import End, Network, Relay, Trouble, random_troubles, wait_until

SECONDS = 20.0


class Echo:
    """Sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections: list[socket.socket] = []
        self.ends: list[str] = []
        self.times: list[float] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(1 << 16):
                self.times.append(time.monotonic())
                connection.sendall(data)
            self.ends.append("fin")
        except OSError as error:
            self.ends.append(type(error).__name__)
        connection.close()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self.connections:
            each.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def connect(relay: Relay) -> socket.socket:
    host, _, port = relay.address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def receive(client: socket.socket, n_bytes: int) -> bytes:
    found = b""
    while len(found) < n_bytes and (data := client.recv(1 << 16)):
        found += data
    return found


def test_each_way_has_a_delay_of_its_own(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address, delay_seconds=(0.05, 0.15))
    with connect(relay) as client:
        sent = time.monotonic()
        client.sendall(b"ping")
        assert receive(client, 4) == b"ping"
        took = time.monotonic() - sent
    assert echo.times[0] - sent >= 0.05
    assert took >= 0.2


def test_a_delay_takes_nothing_from_throughput_or_order(network: Network, echo: Echo) -> None:
    """6 MB by pieces over a line of 0.1 s: one piece at a time would take minutes."""
    relay = network.relay(echo.address, delay_seconds=0.1, jitter_seconds=0.02, seed=3)
    sent = random.Random(1).randbytes(6_000_000)
    with connect(relay) as client:
        threading.Thread(target=client.sendall, args=(sent,), daemon=True).start()
        assert receive(client, len(sent)) == sent
    assert relay.n_bytes("there") == relay.n_bytes("back") == len(sent)


def test_a_stalled_line_is_half_open_until_it_goes_on(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address)
    with connect(relay) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        relay.stall("there")
        client.sendall(b"b")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        # A new connection is taken as well, and nothing comes of it.
        with connect(relay) as other:
            other.sendall(b"c")
            other.settimeout(0.1)
            with pytest.raises(TimeoutError):
                other.recv(1)
            assert echo.ends == []
            relay.resume()
            client.settimeout(SECONDS)
            other.settimeout(SECONDS)
            assert receive(client, 1) == b"b"
            assert receive(other, 1) == b"c"


def test_whoever_leaves_a_stalled_line_is_noticed_only_afterwards(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address)
    with connect(relay) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        relay.stall()
    # What the other end sends still goes nowhere, and it is told of no end.
    echo.connections[0].sendall(b"x")
    assert echo.ends == []
    relay.resume()
    wait_until(lambda: echo.ends == ["fin"])
    wait_until(lambda: relay.n_open == 0)


@pytest.mark.parametrize(("how", "seen"), [(End.FIN, "fin"), (End.RESET, "ConnectionResetError")])
def test_a_cut_is_seen_at_both_ends_and_new_connections_pass(network: Network, echo: Echo, how: End, seen: str) -> None:
    relay = network.relay(echo.address)
    with connect(relay) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        relay.cut(how)
        if how is End.FIN:
            assert client.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    wait_until(lambda: echo.ends == [seen])
    with connect(relay) as client:
        client.sendall(b"b")
        assert receive(client, 1) == b"b"
    assert relay.n_connections == 2


def test_a_cut_after_so_many_bytes(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address)
    with connect(relay) as client:
        relay.cut(after_bytes=5, way="back")
        client.sendall(b"123456789")
        assert receive(client, 9) == b"12345"
    with connect(relay) as client:
        client.sendall(b"123456789")
        assert receive(client, 9) == b"123456789"


def test_refused_as_where_nobody_listens_on_the_same_port_again_afterwards(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address)
    address = relay.address
    for _ in range(3):
        relay.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(relay)
        relay.accept()
        with connect(relay) as client:
            client.sendall(b"a")
            assert receive(client, 1) == b"a"
    assert relay.address == address


def test_where_nobody_is_behind_it_the_connection_is_reset(network: Network, echo: Echo) -> None:
    relay = network.relay("127.0.0.1:1")
    # Either may be what is told, by the time.
    with pytest.raises(ConnectionResetError), connect(relay) as client:
        client.recv(1)
    relay.retarget(echo.address)
    with connect(relay) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"


def test_the_end_of_one_way_leaves_the_other(network: Network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = network.relay(f"127.0.0.1:{listener.getsockname()[1]}", delay_seconds=0.01)
        with connect(relay) as client:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            taken, _ = listener.accept()
            with taken:
                taken.settimeout(SECONDS)
                assert receive(taken, 100) == b"question"
                taken.sendall(b"answer")
            assert receive(client, 100) == b"answer"
        wait_until(lambda: relay.n_open == 0)


def test_troubles_are_played_and_pass(network: Network, echo: Echo) -> None:
    relay = network.relay(echo.address)
    with connect(relay) as client:
        client.sendall(b"a")
        assert receive(client, 1) == b"a"
        relay.play([Trouble(0.0, "stall", 0.3), Trouble(0.4, "refuse", 0.2)])
        wait_until(lambda: echo.ends != [])
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    def is_back() -> bool:
        try:
            with connect(relay) as again:
                again.sendall(b"b")
                return receive(again, 1) == b"b"
        except OSError:
            return False

    wait_until(is_back)


def test_the_same_seed_gives_the_same_troubles() -> None:
    first = random_troubles(7, n=50, every_seconds=1.0, longest_seconds=5.0)
    assert first == random_troubles(7, n=50, every_seconds=1.0, longest_seconds=5.0)
    assert first != random_troubles(8, n=50, every_seconds=1.0, longest_seconds=5.0)
    assert {each.kind for each in first} == {"stall", "cut", "reset", "refuse"}
    for before, after in itertools.pairwise(first):
        assert before.at_seconds + before.seconds <= after.at_seconds
