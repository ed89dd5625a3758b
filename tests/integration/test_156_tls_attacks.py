"""What can be done to TLS before and beside HTTP: silence, garbage, handshakes and new keys without end."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from tests.certificates import Authority
from tests.integration.bystander import MIB, holds_out
from tests.integration.conftest import Front
from tests.integration.edge_process import EdgeProcess
from tests.integration.wire import Wire

from bodega.testing import Origin, wait_until

HANDSHAKE, ALERT, CHANGE = 22, 21, 20


def record(payload: bytes, kind: int = HANDSHAKE) -> bytes:
    """RFC 8446 section 5.1."""
    return struct.pack(">BHH", kind, 0x0301, len(payload)) + payload


def hello() -> bytes:
    """Return a ClientHello that is as it should be."""
    received, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(received, out, server_hostname="edge.test").do_handshake()
    return out.read()


def connect(edge: EdgeProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", edge.tls_port), timeout=20)


def is_ended(connection: socket.socket) -> bool:
    """Wait for the end of a connection, whatever comes before."""
    with suppress(ConnectionError):
        while connection.recv(65_536):
            pass
    return True


UNFINISHED = {"nothing": b"", "a part of a record": hello()[:40], "a whole first message": hello()}


@pytest.mark.parametrize("sent", UNFINISHED)
def test_handshakes_that_are_not_finished_are_bounded_and_let_go(
    front: Front, origin: Origin, authority: Authority, sent: str
) -> None:
    edge = front(origin, max_handshakes=50, handshake_timeout_seconds=3.0)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB), ExitStack() as stack:
        connections = [stack.enter_context(connect(edge)) for _ in range(200)]
        for connection in connections:
            with suppress(OSError):
                connection.sendall(UNFINISHED[sent])
        assert all(is_ended(connection) for connection in connections)
        # The oldest made room for those that came later.
        wait_until(lambda: edge.count("cdn_tls_handshake_failures_total", reason="timeout") == 50)
        assert edge.count("cdn_tls_handshake_failures_total", reason="limit") == 150
    with Wire(edge.tls, tls=authority.trusting()) as wire:
        assert wire.get("/a").is_hit


def test_a_handshake_that_comes_byte_by_byte_has_the_same_time(
    front: Front, origin: Origin, authority: Authority
) -> None:
    edge = front(origin, handshake_timeout_seconds=1.0)
    ended = threading.Event()
    with connect(edge) as connection:

        def drip() -> None:
            with suppress(OSError):
                for byte in hello() * 10:
                    if ended.wait(0.02):
                        return
                    connection.sendall(bytes([byte]))

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert is_ended(connection)
        ended.set()
        dripping.join()
    wait_until(lambda: edge.count("cdn_tls_handshake_failures_total") == 1)


GARBAGE: dict[str, Callable[[], bytes]] = {
    "random bytes": lambda: os.urandom(500),
    "zeros": lambda: bytes(500),
    "a request without TLS": lambda: b"GET /a HTTP/1.1\r\nHost: edge.test\r\n\r\n",
    "HTTP/2 without TLS": lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "an alert": lambda: record(b"\x02\x28", ALERT),
    "alerts that only warn": lambda: record(b"\x01\x00", ALERT) * 100,
    "changes of a cipher that is not there": lambda: record(b"\x01", CHANGE) * 100,
    "empty records": lambda: record(b"") * 1000,
    "a message of a server": lambda: record(b"\x02\x00\x00\x04abcd"),
    "a record over the limit": lambda: struct.pack(">BHH", HANDSHAKE, 0x0301, 0xFFFF) + bytes(0xFFFF),
    "a first message cut in two by another": lambda: hello()[:50] + record(b"\x01", CHANGE) + hello()[50:],
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_place_of_a_handshake_ends_the_connection(
    front: Front, origin: Origin, authority: Authority, garbage: str
) -> None:
    edge = front(origin, handshake_timeout_seconds=2.0)
    n_times = 50
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB):
        for _ in range(n_times):
            with connect(edge) as connection, suppress(OSError):
                connection.sendall(GARBAGE[garbage]())
                connection.shutdown(socket.SHUT_WR)
                assert is_ended(connection)
        wait_until(lambda: edge.count("cdn_tls_handshake_failures_total") == n_times)
    # The bystander's request was the first for what it asks.
    assert origin.n_requests == 1


@pytest.mark.parametrize("size", [70_000, 0xFFFFFF])
def test_a_first_message_that_is_huge_is_refused_early(
    front: Front, origin: Origin, authority: Authority, size: int
) -> None:
    edge = front(origin)
    message = b"\x01" + size.to_bytes(3, "big") + b"\x03\x03" + bytes(32)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB):
        for _ in range(20):
            with connect(edge) as connection, suppress(ConnectionError):
                connection.sendall(record(message))
                for _ in range(1 + size // 16_000):
                    connection.sendall(record(bytes(16_000)))
                assert is_ended(connection)
    assert edge.count("cdn_tls_handshake_failures_total", reason="refused") == 20


def test_handshakes_without_a_pause_leave_the_others_their_turn(
    front: Front, origin: Origin, authority: Authority
) -> None:
    edge = front(origin)
    n_handshakes = 0
    with holds_out(edge, authority.trusting(), more_bytes=32 * MIB) as bystander:
        stop = threading.Event()

        def knock() -> None:
            nonlocal n_handshakes
            context = authority.trusting()
            while not stop.is_set():
                with connect(edge) as connection, context.wrap_socket(connection, server_hostname="edge.test"):
                    n_handshakes += 1

        threads = [threading.Thread(target=knock) for _ in range(4)]
        for thread in threads:
            thread.start()
        bystander.wait_for_answers(300)
        stop.set()
        for thread in threads:
            thread.join()
    assert n_handshakes > 20
    assert edge.count("cdn_tls_handshakes_total", version="1.3") >= n_handshakes


def test_renegotiation_without_a_pause_is_refused(front: Front, origin: Origin, authority: Authority) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "`make test` installs it"
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB):
        for _ in range(10):
            said = subprocess.run(
                [openssl, "s_client", "-connect", f"127.0.0.1:{edge.tls_port}", "-tls1_2", "-CAfile", authority.file],
                input=b"R\n" * 100,
                capture_output=True,
                timeout=30,
                check=False,
            )
            assert b"no renegotiation" in said.stdout + said.stderr


class OwnRecords:
    """Writes records of TLS 1.3 by itself once OpenSSL has shaken hands: RFC 8446 sections 5.2, 7.2 and 7.3."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, folder: Path) -> None:
        self._connection = connection
        context.keylog_filename = str(folder / "keys")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        received, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, out, server_hostname="edge.test")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(out.read())
                received.write(connection.recv(65_536))
        connection.sendall(out.read())
        cipher = tls.cipher()
        assert cipher is not None
        is_128 = "AES_128" in cipher[0]
        self._hash: hashes.HashAlgorithm = hashes.SHA256() if is_128 else hashes.SHA384()
        self._key_bytes = 16 if is_128 else 32
        lines = (folder / "keys").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self._use(bytes.fromhex(line.split()[2]))

    def send(self, message: bytes, kind: int) -> None:
        inner = message + bytes([kind])
        head = struct.pack(">BHH", 23, 0x0303, len(inner) + 16)
        nonce = (int.from_bytes(self._iv, "big") ^ self._n_records).to_bytes(12, "big")
        self._connection.sendall(head + AESGCM(self._key).encrypt(nonce, inner, head))
        self._n_records += 1

    def update_key(self) -> None:
        """Change the own key, and ask the edge for another of its own."""
        self.send(b"\x18\x00\x00\x01\x01", HANDSHAKE)
        self._use(self._expand(b"traffic upd", self._hash.digest_size))

    def update_key_again(self, n_times: int) -> None:
        for _ in range(n_times):
            self.update_key()

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._key = self._expand(b"key", self._key_bytes)
        self._iv = self._expand(b"iv", 12)
        self._n_records = 0

    def _expand(self, label: bytes, n_bytes: int) -> bytes:
        name = b"tls13 " + label
        info = struct.pack(">HB", n_bytes, len(name)) + name + b"\x00"
        return HKDFExpand(self._hash, n_bytes, info).derive(self._secret)


@pytest.fixture
def own_records(authority: Authority, tmp_path: Path) -> Iterator[Callable[[EdgeProcess], OwnRecords]]:
    with ExitStack() as stack:
        yield lambda edge: OwnRecords(stack.enter_context(connect(edge)), authority.trusting(), tmp_path)


def test_new_keys_without_end_are_refused(
    front: Front, origin: Origin, authority: Authority, own_records: Callable[[EdgeProcess], OwnRecords]
) -> None:
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB):
        client = own_records(edge)
        client.update_key()
        with pytest.raises(ConnectionError):
            client.update_key_again(100_000)


def test_empty_records_without_end_cost_the_others_nothing(
    front: Front, origin: Origin, authority: Authority, own_records: Callable[[EdgeProcess], OwnRecords]
) -> None:
    """Records that carry nothing cost the edge as little as their bytes."""
    edge = front(origin)
    with holds_out(edge, authority.trusting(), more_bytes=16 * MIB):
        client = own_records(edge)
        with suppress(OSError):
            for _ in range(20_000):
                client.send(b"", 23)
