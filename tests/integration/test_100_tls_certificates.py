"""Which certificate a client sees, what a reload does to it, and who is let in by one."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.certificates import Made, make_authority
from tests.integration.conftest import Serve, site
from tests.integration.tls_client import TlsClient, fingerprint, shown

from bodega.certificates import CertificateFiles, development_certificate
from bodega.edge import EdgeServer
from bodega.errors import ConfigInvalid
from bodega.testing import Origin, wait_until


@pytest.fixture(scope="module")
def root() -> Made:
    return make_authority()


def tls_url(edge: EdgeServer) -> str:
    assert edge.tls_url is not None
    return edge.tls_url


def test_a_certificate_is_shown_beside_plain_http(origin: Origin, serve: Serve, root: Made, tmp_path: Path) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    edge = serve(origin, tls=str(certificate))
    assert [url.partition(":")[0] for url in edge.urls] == ["http", "https"]
    assert (edge.url, edge.tls_url) == tuple(edge.urls)
    with TlsClient(tls_url(edge), "localhost", root) as client:
        assert [client.get("/a") for _ in range(2)] == [(200, b"/a"), (200, b"/a")]
    wait_until(lambda: edge.stats().count("l1") == 1)


def test_an_edge_may_speak_tls_alone(origin: Origin, serve: Serve, root: Made, tmp_path: Path) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    edge = serve(origin, listen=(), listen_tls="127.0.0.1:0", tls=str(certificate))
    assert edge.urls == [edge.url] == [edge.tls_url]
    with TlsClient(edge.url, "localhost", root) as client:
        assert client.get("/a") == (200, b"/a")


def test_names_are_told_apart_exactly_by_wildcard_else_the_first(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    made = {stem: root.issue(*names) for stem, names in _NAMES.items()}
    for stem, each in made.items():
        each.write(tmp_path, stem)
    edge = serve(origin, tls=[str(tmp_path / "default.pem"), str(tmp_path)])
    expected = {
        "www.shop.example.com": "wildcard",
        "WWW.Shop.example.com": "wildcard",
        "pay.shop.example.com": "exact",
        "shop.example.com": "default",
        "a.b.shop.example.com": "default",
        "elsewhere.example.com": "default",
        None: "default",
    }
    found = {name: shown(tls_url(edge), name) for name in expected}
    assert found == {name: fingerprint(made[stem]) for name, stem in expected.items()}


def test_with_strict_names_a_name_that_no_certificate_has_is_refused(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    for stem, names in _NAMES.items():
        root.issue(*names).write(tmp_path, stem)
    edge = serve(origin, tls=str(tmp_path), tls_strict_names=True)
    with TlsClient(tls_url(edge), "pay.shop.example.com", root) as client:
        assert client.get("/a")[0] == 200
    for name in ("elsewhere.example.com", None):
        with pytest.raises((ssl.SSLError, ConnectionError)), TlsClient(tls_url(edge), name):
            pass


def test_a_reload_shows_the_new_certificate_and_cuts_no_connection(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    first, second = root.issue("localhost"), root.issue("localhost")
    certificate, _ = first.write(tmp_path, "site")
    edge = serve(origin, tls=str(certificate))
    with TlsClient(tls_url(edge), "localhost", root) as client:
        assert client.get("/a") == (200, b"/a")
        second.write(tmp_path, "site")
        assert shown(tls_url(edge), "localhost") == fingerprint(first)
        edge.reload()
        assert shown(tls_url(edge), "localhost") == fingerprint(second)
        assert client.get("/b") == (200, b"/b")
        assert client.shown == fingerprint(first)


def test_a_reload_finds_what_was_added_to_a_folder_and_forgets_what_was_removed(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    made = {stem: root.issue(f"{stem}.example.com") for stem in "ab"}
    made["a"].write(tmp_path, "a")
    edge = serve(origin, tls=str(tmp_path))
    assert shown(tls_url(edge), "b.example.com") == fingerprint(made["a"])
    made["b"].write(tmp_path, "b")
    edge.reload()
    assert shown(tls_url(edge), "b.example.com") == fingerprint(made["b"])
    (tmp_path / "a.pem").unlink()
    edge.reload()
    assert shown(tls_url(edge), "a.example.com") == fingerprint(made["b"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "site.pem").write_text("nothing"), "site.pem: no certificate in PEM form"),
        (lambda folder: (folder / "site.key").unlink(), "site.pem: its private key is not there"),
        (lambda folder: (folder / "site.pem").unlink(), "site.pem: there is no such file"),
        (lambda folder: (folder / "site.key").write_bytes(make_authority().key_pem), "site.key: the key of"),
        (
            lambda folder: (folder / "site.pem").write_text(
                "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
            ),
            "site.pem",
        ),
    ],
    ids=["nothing in it", "no key", "not there", "another key", "no certificate"],
)
def test_a_reload_with_a_bad_file_changes_nothing_and_names_it(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path, spoil: object, message: str
) -> None:
    made = root.issue("localhost")
    certificate, _ = made.write(tmp_path, "site")
    edge = serve(site(origin), tls=str(certificate))
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        edge.reload(site(origin, hosts="other.example.com"))
    assert message in str(caught.value)
    assert "PRIVATE" not in str(caught.value)
    assert made.key_pem.decode().splitlines()[1] not in str(caught.value)
    with TlsClient(tls_url(edge), "localhost", root) as client:
        assert client.get("/a") == (200, b"/a")
    assert edge.stats().revision == 1
    made.write(tmp_path, "site")
    assert edge.reload() == 2


def test_a_bad_certificate_keeps_an_edge_from_starting(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    _, other = root.issue("localhost").write(tmp_path, "other")
    with pytest.raises(ConfigInvalid, match=r"other\.key: the key of .*site\.pem"):
        serve(origin, tls=CertificateFiles(str(certificate), str(other)))


@pytest.mark.parametrize("auth", ["required", "optional"])
def test_client_certificates_of_the_named_authorities_are_accepted(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path, auth: str
) -> None:
    (tmp_path / "clients.pem").write_bytes(root.pem)
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    client = root.issue("ann", for_clients=True).write(tmp_path, "ann")
    stranger = make_authority("Another").issue("eve", for_clients=True).write(tmp_path, "eve")
    edge = serve(origin, tls=str(certificate), tls_client_ca=str(tmp_path / "clients.pem"), tls_client_auth=auth)

    def status(shown: tuple[Path, Path] | None) -> int | None:
        try:
            with TlsClient(tls_url(edge), "localhost", root, shown) as connected:
                return connected.get("/a")[0]
        except (ssl.SSLError, ConnectionError):
            return None

    assert [status(each) for each in (client, None, stranger)] == [200, 200 if auth == "optional" else None, None]


def test_a_client_of_tls_1_2_is_refused_where_1_3_is_the_oldest(
    origin: Origin, serve: Serve, root: Made, tmp_path: Path
) -> None:
    certificate, _ = root.issue("localhost").write(tmp_path, "site")
    edge = serve(origin, tls=str(certificate), tls_min_version="1.3")
    with TlsClient(tls_url(edge), "localhost", root) as client:
        assert client.version == "TLSv1.3"
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        TlsClient(tls_url(edge), "localhost", root, newest=ssl.TLSVersion.TLSv1_2),
    ):
        pass


def test_the_certificate_for_development_is_trusted_by_its_authority(
    origin: Origin, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    edge = serve(site(origin, hosts=["shop.example.com", "localhost"]), tls="dev")
    trusted = development_certificate([], {"XDG_STATE_HOME": str(tmp_path)}).authority
    for name in ("shop.example.com", "localhost"):
        with TlsClient(tls_url(edge), name, trusted) as client:
            assert client.get("/a") == (200, b"/a")
    edge.reload(site(origin, hosts="new.example.com"))
    with TlsClient(tls_url(edge), "new.example.com", trusted) as client:
        assert client.get("/a") == (200, b"/a")


_NAMES = {
    "default": ["default.example.com", "shop.example.com"],
    "exact": ["pay.shop.example.com"],
    "wildcard": ["*.shop.example.com"],
}
