"""TLS as OpenSSL's client sees it: versions, ciphers, names, protocols, resumption, client certificates, refusals."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Authority
from tests.integration.conftest import Front
from tests.integration.edge_process import EdgeProcess, EdgeRefused
from tests.integration.wire import Wire, request

from bodega.testing import Origin

ASK = request("/a", "Connection: close")
WEAK = ("-cipher", "DEFAULT@SECLEVEL=0")
"""OpenSSL does not even offer TLS 1.1 otherwise."""


def s_client(edge: EdgeProcess, authority: Authority, *options: str, sent: bytes = ASK) -> str:
    """Connect, send a request, wait for the end of the connection; everything that OpenSSL says of it."""
    openssl = shutil.which("openssl")
    assert openssl, "`make test` installs it"
    name = () if "-noservername" in options or "-servername" in options else ("-servername", "edge.test")
    done = subprocess.run(
        [
            *(openssl, "s_client", "-connect", f"127.0.0.1:{edge.tls_port}", "-CAfile", authority.file),
            *("-verify_return_error", "-ign_eof", *name, *options),
        ],
        input=sent,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_request_is_answered_over_either_version(
    front: Front, origin: Origin, authority: Authority, version: str
) -> None:
    edge = front(origin)
    said = s_client(edge, authority, f"-tls{version.replace('.', '_')}")
    assert f"New, TLSv{version}, Cipher is " in said
    assert "Verify return code: 0 (ok)" in said
    assert "HTTP/1.1 200 OK" in said
    assert "Compression: NONE" in said
    assert edge.count("cdn_tls_handshakes_total", version=version, resumed="false") == 1
    assert edge.count("cdn_tls_handshakes_total") == 1


@pytest.mark.parametrize("sent", [[ASK], [ASK[:20], ASK[20:]], [request("/a"), ASK]], ids=["one", "parts", "two"])
def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    front: Front, origin: Origin, authority: Authority, sent: list[bytes]
) -> None:
    """It lay decrypted while the edge waited for more from the socket."""
    edge = front(origin)
    received, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.trusting().wrap_bio(received, out, server_hostname="edge.test")
    with socket.create_connection(("127.0.0.1", edge.tls_port), timeout=20) as connection:
        while not _has_shaken_hands(tls):
            connection.sendall(out.read())
            received.write(connection.recv(65_536))
        for piece in sent:
            tls.write(piece)
        connection.sendall(out.read())
        answers = b""
        while answers.count(b"/a") < sum(piece.count(b"GET") for piece in sent):
            try:
                answers += tls.read(65_536)
            except ssl.SSLWantReadError:
                received.write(connection.recv(65_536))
    assert answers.startswith(b"HTTP/1.1 200 OK")


def _has_shaken_hands(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "edge_options"),
    [
        (("-tls1_1", *WEAK), {}),
        (("-tls1", *WEAK), {}),
        (("-tls1_2",), {"tls_min_version": "1.3"}),
    ],
    ids=["1.1", "1.0", "1.2 where 1.3 is the least"],
)
def test_versions_that_are_too_old_are_refused(
    front: Front, origin: Origin, authority: Authority, options: tuple[str, ...], edge_options: dict[str, Any]
) -> None:
    edge = front(origin, **edge_options)
    said = s_client(edge, authority, *options)
    # Below 1.2 OpenSSL names no signature algorithms, and that is found before the version.
    assert "alert protocol version" in said or "alert handshake failure" in said
    assert "Cipher is (NONE)" in said
    assert edge.count("cdn_tls_handshake_failures_total", reason="refused") == 1
    assert edge.count("cdn_tls_handshakes_total") == 0
    assert origin.n_requests == 0


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(
    front: Front, origin: Origin, authority: Authority, cipher: str
) -> None:
    edge = front(origin)
    said = s_client(edge, authority, "-tls1_2", "-cipher", cipher)
    assert "SSL alert number" in said
    assert "Cipher is (NONE)" in said
    assert edge.count("cdn_tls_handshake_failures_total", reason="refused") == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_is_resumed_by_whichever_thread_the_next_connection_meets(
    front: Front, origin: Origin, authority: Authority, tmp_path: Path, version: str
) -> None:
    edge = front(origin, threads=4)
    session = str(tmp_path / "session")
    option = f"-tls{version.replace('.', '_')}"
    assert f"New, TLSv{version}" in s_client(edge, authority, option, "-sess_out", session)
    # Which thread a connection meets is the kernel's choice; that all ten meet the first one's is next to impossible.
    for _ in range(10):
        said = s_client(edge, authority, option, "-sess_in", session)
        assert f"Reused, TLSv{version}" in said
        assert "HTTP/1.1 200 OK" in said
    assert edge.count("cdn_tls_handshakes_total", version=version, resumed="true") == 10
    assert edge.count("cdn_tls_handshakes_total", version=version, resumed="false") == 1


def test_a_ticket_of_another_edge_is_no_ticket(
    front: Front, origin: Origin, authority: Authority, tmp_path: Path
) -> None:
    session = str(tmp_path / "session")
    for version in ("-tls1_2", "-tls1_3"):
        s_client(front(origin), authority, version, "-sess_out", session)
        said = s_client(front(origin), authority, version, "-sess_in", session)
        assert "New, " in said
        assert "HTTP/1.1 200 OK" in said


def test_no_early_data_is_taken(front: Front, origin: Origin, authority: Authority, tmp_path: Path) -> None:
    edge = front(origin)
    session, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(ASK)
    first = s_client(edge, authority, "-tls1_3", "-sess_out", session)
    assert "Max Early Data: 0" in first
    second = s_client(edge, authority, "-tls1_3", "-sess_in", session, "-early_data", str(early))
    assert "Early data was accepted" not in second


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("gopher,http/1.1", "ALPN protocol: http/1.1"),
        ("gopher", "no application protocol"),
        (None, "No ALPN negotiated"),
    ],
)
def test_the_protocol_is_agreed_on(
    front: Front, origin: Origin, authority: Authority, offered: str | None, chosen: str
) -> None:
    edge = front(origin)
    said = s_client(edge, authority, *(("-alpn", offered) if offered else ()))
    assert chosen in said
    assert ("HTTP/1.1 200 OK" in said) == (offered != "gopher")


@pytest.mark.parametrize(("offers", "chosen"), [(True, "h2"), (False, "http/1.1")])
def test_http2_is_chosen_where_it_is_offered_by_both(
    front: Front, origin: Origin, authority: Authority, offers: bool, chosen: str
) -> None:
    edge = front(origin, http2=offers)
    assert f"ALPN protocol: {chosen}" in s_client(edge, authority, "-alpn", "http/1.1,h2", "-no_ign_eof", sent=b"Q\n")


def test_the_certificate_is_that_of_the_name(front: Front, origin: Origin, authority: Authority) -> None:
    pairs = [authority.sign(*names) for names in (["edge.test"], ["*.shop.test", "shop.test"], ["a.shop.test"])]
    options: dict[str, Any] = {"tls_certificates": [pair.options for pair in pairs]}
    edge, strict = front(origin, **options), front(origin, **options, tls_strict_names=True)
    for name, sees, sees_strictly in [
        ("edge.test", "edge.test", "edge.test"),
        ("EDGE.test", "edge.test", "edge.test"),
        ("a.shop.test", "a.shop.test", "a.shop.test"),
        ("b.shop.test", "*.shop.test", "*.shop.test"),
        ("shop.test", "*.shop.test", "*.shop.test"),
        ("x.b.shop.test", "edge.test", None),
        ("elsewhere.test", "edge.test", None),
        (None, "edge.test", None),
    ]:
        assert seen_name(edge, authority, name) == sees, name
        assert seen_name(strict, authority, name) == sees_strictly, name
    assert strict.count("cdn_tls_handshake_failures_total", reason="refused") == 3


def seen_name(edge: EdgeProcess, authority: Authority, name: str | None) -> str | None:
    """Return the first name in the certificate that is shown to who asks for `name`; None where there is none."""
    context = authority.trusting()
    context.check_hostname = False
    try:
        with Wire(edge.tls, tls=context, name=name) as wire:
            assert wire.get("/a").status == 200
            return wire.certificate_names()[0]
    except ssl.SSLError:
        return None


def test_certificates_are_read_anew_without_dropping_a_connection(
    front: Front, origin: Origin, authority: Authority
) -> None:
    old, new = authority.sign("edge.test", "old.test"), authority.sign("new.test", "edge.test")
    edge = front(origin, tls_certificates=[old.options])
    with Wire(edge.tls, tls=authority.trusting()) as before:
        assert before.get("/a").status == 200
        edge.call("reload_certificates", json.dumps([new.options]))
        assert seen_name(edge, authority, "edge.test") == "new.test"
        assert before.get("/a").is_hit
        with pytest.raises(EdgeRefused, match=r"nowhere\.pem"):
            edge.call("reload_certificates", json.dumps([{"certificate": "/nowhere.pem", "key": new.key}]))
        assert seen_name(edge, authority, "edge.test") == "new.test"


def test_renegotiation_is_refused(front: Front, origin: Origin, authority: Authority) -> None:
    edge = front(origin)
    said = s_client(edge, authority, "-tls1_2", "-no_ign_eof", sent=b"R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
    assert "HTTP/1.1 200 OK" in s_client(edge, authority, "-tls1_2")


@pytest.mark.parametrize(
    ("asked", "shown", "answered"),
    [
        ("off", None, True),
        ("off", "ours", True),
        ("optional", None, True),
        ("optional", "ours", True),
        ("optional", "foreign", False),
        ("required", None, False),
        ("required", "ours", True),
        ("required", "foreign", False),
    ],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_client_certificates_are_asked_for_and_checked(
    front: Front,
    origin: Origin,
    authority: Authority,
    tmp_path: Path,
    asked: str,
    shown: str | None,
    answered: bool,
    version: str,
) -> None:
    edge = front(origin, tls_client_auth=asked, tls_client_ca=None if asked == "off" else authority.file)
    options: tuple[str, ...] = ()
    if shown is not None:
        signer = authority if shown == "ours" else Authority(tmp_path)
        pair = signer.sign("client@edge.test", for_clients=True)
        options = ("-cert", pair.certificate, "-key", pair.key)
    said = s_client(edge, authority, version, *options)
    assert ("HTTP/1.1 200 OK" in said) == answered
    assert (origin.n_requests == 1) == answered
    assert edge.count("cdn_tls_handshakes_total") == int(answered)
    assert edge.count("cdn_tls_handshake_failures_total", reason="refused") == int(not answered)
