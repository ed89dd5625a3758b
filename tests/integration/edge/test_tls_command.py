"""`bodega edge` with certificates: for development, renewed while it runs, handed over."""

from __future__ import annotations

import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.certificates import DAY, NOW, Made, make_authority
from tests.integration.tls_client import TlsClient, fingerprint, shown

from bodega.errors import AddressInUse

if TYPE_CHECKING:
    from tests.integration.edge.conftest import EdgeCommand, Origin, Wait

Start = Callable[..., "EdgeCommand"]

QUICKLY = """
import bodega.edge.certificate_follower as follower
follower._EVERY_SECONDS = 0.01
from bodega.cli import main
main()
"""
"""The command, which looks at its certificates at every turn and not once a minute."""


@pytest.fixture(scope="module")
def root() -> Made:
    return make_authority()


def tls_url(edge: EdgeCommand) -> str:
    [url] = [str(url) for url in edge.said["listening"] if url.startswith("https:")]
    return url


def test_for_development_one_option_is_enough_and_the_line_that_trusts_it_works(
    origin: Origin, command: Start, tmp_path: Path
) -> None:
    state = ["env", f"XDG_STATE_HOME={tmp_path / 'state'}", sys.executable, "-m", "bodega"]
    edge = command("--tls", "dev", "--origin", origin.url, "--listen", ":0", command=state)
    edge.wait_said("forget everything")
    [line] = [line for line in edge.lines if "curl --cacert" in line]
    curl = shlex.split(line.split("`")[1])
    asked = subprocess.run([*curl, "-sS", "--max-time", "20"], capture_output=True, text=True, timeout=50, check=False)
    assert (asked.stdout, asked.stderr) == ("hello", "")
    assert any("trust it on this machine: `sudo " in line for line in edge.lines)
    with TlsClient(tls_url(edge), "localhost", tmp_path / "state/bodega/tls/authority.pem") as client:
        assert client.get("/a") == (200, b"hello")
    again = command("--tls", "dev", "--origin", origin.url, "--listen", ":0", command=state)
    assert shown(tls_url(again), None) == shown(tls_url(edge), None)


def test_a_name_that_is_somebodys_is_not_on_the_certificate_for_development(
    origin: Origin, command: Start, tmp_path: Path
) -> None:
    (tmp_path / "shop.toml").write_text(
        f'[edge]\ntls = "dev"\nlisten = ":0"\n[distributions.a]\nhosts = ["www.acme.com", "shop.localhost"]\n'
        f'behaviors = [ {{ origin = "{origin.url}" }} ]\n'
    )
    edge = command("shop.toml", command=["env", f"XDG_STATE_HOME={tmp_path}", sys.executable, "-m", "bodega"])
    edge.wait_said("warning: not on the certificate, because the names may be somebody's: www.acme.com")
    with TlsClient(tls_url(edge), "shop.localhost", tmp_path / "bodega/tls/authority.pem") as client:
        assert client.get("/a") == (200, b"hello")


def test_a_renewed_certificate_is_put_in_force_without_a_signal(
    origin: Origin, command: Start, root: Made, tmp_path: Path, wait_until: Wait
) -> None:
    first, second = root.issue("localhost"), root.issue("localhost")
    certificate, key = first.write(tmp_path, "site")
    edge = command(
        *("--tls", str(certificate), "--origin", origin.url, "--listen", ":0"),
        command=[sys.executable, "-c", QUICKLY],
    )
    url = tls_url(edge)
    with TlsClient(url, "localhost", root) as client:
        assert client.get("/a") == (200, b"hello")
        # A renewal that is half done: the certificate is there, its key not yet.
        certificate.write_bytes(second.chain)
        edge.wait_said("certificates not reloaded, those of before stay in force")
        assert edge.has_said("site.key: the key of")
        assert shown(url, "localhost") == fingerprint(first)
        key.write_bytes(second.key_pem)
        edge.wait_said("certificates have changed and are in force")
        assert shown(url, "localhost") == fingerprint(second)
        assert client.get("/b") == (200, b"hello")
        assert client.shown == fingerprint(first)


def test_sighup_reads_the_certificates_and_tells_what_is_wrong_with_them(
    origin: Origin, command: Start, root: Made, tmp_path: Path, wait_until: Wait
) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    root.issue("localhost").write(folder, "a")
    (tmp_path / "bodega.toml").write_text(
        '[edge]\ntls = "certificates"\nlisten = ":0"\n[distributions.a]\nhosts = ["localhost", "new.example.com"]\n'
        f'behaviors = [ {{ origin = "{origin.url}" }} ]\n'
    )
    edge = command()
    edge.wait_said("warning: no certificate is for new.example.com: clients are shown that of localhost; add one")
    added = root.issue("new.example.com", begins=NOW - 80 * DAY, ends=NOW + 10 * DAY)
    added.write(folder, "b")
    edge.process.send_signal(signal.SIGHUP)
    edge.wait_said("revision 2 is in force")
    edge.wait_said("warning: certificates/b.pem: expires in 9 days")
    assert shown(tls_url(edge), "new.example.com") == fingerprint(added)
    (folder / "b.key").unlink()
    edge.process.send_signal(signal.SIGHUP)
    edge.wait_said("not reloaded, what served before goes on serving: tls[0]: certificates/b.pem: its private key")
    assert shown(tls_url(edge), "new.example.com") == fingerprint(added)


def test_a_successor_speaks_tls_where_its_predecessor_did(
    origin: Origin, command: Start, root: Made, tmp_path: Path
) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    old = command("--origin", origin.url, "--listen", ":0", "--tls", str(certificate))
    renewed = root.issue("localhost")
    certificate, _ = renewed.write(tmp_path, "renewed")
    new = command("--origin", origin.url, "--take-over", str(old.pid), "--tls", str(certificate))
    assert old.process.wait(40) == 0
    assert new.said["listening"] == old.said["listening"]
    with TlsClient(tls_url(new), "localhost", root) as client:
        assert client.shown == fingerprint(renewed)
        assert client.get("/a") == (200, b"hello")


def test_a_predecessor_without_tls_is_told_of(origin: Origin, command: Start, root: Made, tmp_path: Path) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    old = command("--origin", origin.url, "--listen", ":0")
    new = command("--origin", origin.url, "--take-over", str(old.pid), "--tls", str(certificate))
    new.wait_said("warning: no listener for TLS was handed over")
    assert [url.partition(":")[0] for url in new.said["listening"]] == ["http"]


def test_sockets_of_the_service_manager_that_are_called_https_speak_tls(
    origin: Origin, command: Start, root: Made, tmp_path: Path
) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as tls:
        # What the service manager does: descriptors from 3 on, their names, and its own process's number.
        start = """
import fcntl, os, sys
first, second = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(first, 3)
os.dup2(second, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="https:http")
os.execv(sys.executable, [sys.executable, "-m", "bodega", *sys.argv[3:]])
"""
        edge = command(
            *("--origin", origin.url, "--tls", str(certificate)),
            command=[sys.executable, "-c", start, str(tls.fileno()), str(plain.fileno())],
            pass_fds=[tls.fileno(), plain.fileno()],
        )
        ports = {"https": tls.getsockname()[1], "http": plain.getsockname()[1]}
        assert set(edge.said["listening"]) == {f"{scheme}://127.0.0.1:{port}" for scheme, port in ports.items()}
        with TlsClient(tls_url(edge), "localhost", root) as client:
            assert client.get("/a") == (200, b"hello")


def test_a_port_for_tls_that_is_taken_is_named_with_the_way_out(origin: Origin, root: Made, tmp_path: Path) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        refused = subprocess.run(
            [
                *(sys.executable, "-m", "bodega", "edge", "--origin", origin.url, "--listen", ":0", "--admin", "off"),
                *("--tls", str(certificate), "--listen-tls", address),
            ],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert refused.returncode == AddressInUse.EXIT_STATUS
    assert f"{address} is taken" in refused.stderr
    assert "use `--listen-tls 127.0.0.1:" in refused.stderr


def test_clients_without_a_certificate_are_refused_where_one_is_required(
    origin: Origin, command: Start, root: Made, tmp_path: Path
) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    (tmp_path / "clients.pem").write_bytes(root.pem)
    edge = command(
        *("--origin", origin.url, "--listen", ":0", "--tls", str(certificate)),
        *("--tls-client-ca", str(tmp_path / "clients.pem"), "--tls-client-auth", "required"),
    )
    ann = root.issue("ann", for_clients=True).write(tmp_path, "ann")
    with TlsClient(tls_url(edge), "localhost", root, ann) as client:
        assert client.get("/a") == (200, b"hello")
    with pytest.raises((ssl.SSLError, ConnectionError)), TlsClient(tls_url(edge), "localhost", root) as client:
        client.get("/a")
