from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from bodega.edge.handover import HandoverServer, Predecessor
from bodega.errors import HandoverFailed


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
    server = HandoverServer(tmp_path / "h.sock", lambda: [each.fileno() for each in held], handed_over.set)
    with Predecessor(tmp_path / "h.sock", os.getpid()) as predecessor:
        received = [socket.socket(fileno=each) for each in predecessor.listener_fds]
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
    server = HandoverServer(tmp_path / "h.sock", lambda: [held.fileno()], handed_over.set)
    with Predecessor(tmp_path / "h.sock", os.getpid()) as first:
        os.close(first.listener_fds[0])
    with Predecessor(tmp_path / "h.sock", os.getpid()) as second:
        os.close(second.listener_fds[0])
        assert not handed_over.is_set()
        second.serving()
    assert handed_over.wait(5)
    server.close()
    held.close()


def test_whoever_speaks_nonsense_gets_nothing(tmp_path: Path) -> None:
    [held] = listeners(1)
    server = HandoverServer(tmp_path / "h.sock", lambda: [held.fileno()], lambda: None)
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
