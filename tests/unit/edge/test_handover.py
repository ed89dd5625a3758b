from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bodega.edge.handover import HandoverServer, Predecessor
from bodega.edge.listeners import Listeners
from bodega.errors import HandoverFailed
from bodega.testing import wait_until


def listeners(count: int) -> list[socket.socket]:
    made = []
    for _ in range(count):
        each = socket.socket()
        each.bind(("127.0.0.1", 0))
        each.listen()
        made.append(each)
    return made


@pytest.mark.parametrize("count", [1, 64, 150])
def test_a_successor_gets_every_listener_in_order(tmp_path: Path, count: int) -> None:
    held = listeners(count)
    handed_over = threading.Event()
    server = HandoverServer(
        tmp_path / "h.sock", lambda: Listeners(tuple(each.fileno() for each in held)), handed_over.set
    )
    with Predecessor(tmp_path / "h.sock", os.getpid()) as predecessor:
        received = [socket.socket(fileno=each) for each in predecessor.listeners.plain]
        assert [each.getsockname() for each in received] == [each.getsockname() for each in held]
        assert not handed_over.is_set()
        predecessor.serving()
    assert handed_over.wait(5)
    server.close()
    assert not (tmp_path / "h.sock").exists()
    for each in (*held, *received):
        each.close()


def test_a_successor_that_gives_up_leaves_the_old_process_as_it_was(tmp_path: Path) -> None:
    [held] = listeners(1)
    handed_over = threading.Event()
    server = HandoverServer(tmp_path / "h.sock", lambda: Listeners((held.fileno(),)), handed_over.set)
    with Predecessor(tmp_path / "h.sock", os.getpid()) as first:
        os.close(first.listeners.plain[0])
    with Predecessor(tmp_path / "h.sock", os.getpid()) as second:
        os.close(second.listeners.plain[0])
        assert not handed_over.is_set()
        second.serving()
    assert handed_over.wait(5)
    server.close()
    held.close()


def ports(descriptors: Sequence[int]) -> list[int]:
    """Return the ports of sockets that were received, and close them."""
    found = []
    for descriptor in descriptors:
        with socket.socket(fileno=descriptor) as each:
            found.append(each.getsockname()[1])
    return found


def test_listeners_for_tls_are_told_from_the_others(tmp_path: Path) -> None:
    held = listeners(3)
    fds = [each.fileno() for each in held]
    wanted = [each.getsockname()[1] for each in held]
    server = HandoverServer(tmp_path / "h.sock", lambda: Listeners((fds[0],), (fds[1], fds[2])), lambda: None)
    with Predecessor(tmp_path / "h.sock", os.getpid()) as predecessor:
        received = predecessor.listeners
        assert (ports(received.plain), ports(received.tls)) == (wanted[:1], wanted[1:])
    server.close()
    for each in held:
        each.close()


@pytest.mark.parametrize("knows", ["", ', "knows": []', ', "knows": "tls"', ', "knows": 5'])
def test_a_successor_that_does_not_know_of_tls_gets_no_listener_for_it(tmp_path: Path, knows: str) -> None:
    held = listeners(2)
    fds = [each.fileno() for each in held]
    server = HandoverServer(tmp_path / "h.sock", lambda: Listeners((fds[0],), (fds[1],)), lambda: None)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(tmp_path / "h.sock"))
        peer.sendall(b'{"bodega": 1, "want": "listeners"%s}\n' % knows.encode())
        line = b'{"count": 1, "tls": 0}\n'
        assert peer.recv(len(line)) == line
        _, received, _, _ = socket.recv_fds(peer, 1, 8)
        assert ports(received) == [held[0].getsockname()[1]]
    server.close()
    for each in held:
        each.close()


def test_whoever_speaks_nonsense_gets_nothing(tmp_path: Path) -> None:
    [held] = listeners(1)
    server = HandoverServer(tmp_path / "h.sock", lambda: Listeners((held.fileno(),)), lambda: None)
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b'["listeners"]\n', b'{"want": "all"}\n', b"x" * 10_000):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(tmp_path / "h.sock"))
            peer.sendall(nonsense)
            try:
                assert peer.recv(1) == b""
            except ConnectionResetError:
                continue
    server.close()
    held.close()


def test_a_process_that_hands_nothing_over_is_named(tmp_path: Path) -> None:
    with pytest.raises(HandoverFailed, match="process 812 did not hand over") as caught:
        Predecessor(tmp_path / "nobody.sock", 812)
    assert caught.value.pid == 812


def test_what_only_one_may_do_is_left_before_the_successor_is_told(tmp_path: Path) -> None:
    [held] = listeners(1)
    happened: list[str] = []
    server = HandoverServer(
        tmp_path / "h.sock",
        lambda: Listeners((held.fileno(),)),
        lambda: happened.append("handed over"),
        follows="abc",
        let_go=lambda: happened.append("let go"),
        take_back=lambda: happened.append("taken back"),
    )
    with Predecessor(tmp_path / "h.sock", 812) as predecessor:
        assert predecessor.follows == "abc"
        assert happened == []
        predecessor.serving()
        # It was done before the answer came.
        assert happened[0] == "let go"
    wait_until(lambda: happened == ["let go", "handed over"])
    for descriptor in predecessor.listeners.plain:
        os.close(descriptor)
    server.close()
    held.close()


def test_a_successor_that_goes_away_after_all_leaves_everything_as_it_was(tmp_path: Path) -> None:
    [held] = listeners(1)
    happened: list[str] = []
    gone = threading.Event()
    server = HandoverServer(
        tmp_path / "h.sock",
        lambda: Listeners((held.fileno(),)),
        lambda: happened.append("handed over"),
        let_go=lambda: happened.append(f"let go {gone.wait(30)}"),
        take_back=lambda: happened.append("taken back"),
    )
    predecessor = Predecessor(tmp_path / "h.sock", 812)
    predecessor._socket.sendall(b'{"bodega": 1, "ready": true}\n')
    predecessor._socket.close()
    gone.set()
    wait_until(lambda: happened == ["let go True", "taken back"])
    for descriptor in predecessor.listeners.plain:
        os.close(descriptor)
    # Another one is served.
    with Predecessor(tmp_path / "h.sock", 812) as predecessor:
        for descriptor in predecessor.listeners.plain:
            os.close(descriptor)
    server.close()
    held.close()
