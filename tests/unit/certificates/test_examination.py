from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.certificates import DAY, NOW, Made, make_authority, self_signed

from bodega.certificates import CertificateFiles, Examined, examine, find_certificates, findings_of


@pytest.fixture(scope="module")
def root() -> Made:
    return make_authority("Root")


def written(folder: Path, made: Made, *, chain: bytes | None = None, key: bytes | None = None) -> CertificateFiles:
    certificate, key_file = made.write(folder, "site")
    if chain is not None:
        certificate.write_bytes(chain)
    if key is not None:
        key_file.write_bytes(key)
    return CertificateFiles(str(certificate), str(key_file))


def said(files: CertificateFiles, now: datetime.datetime = NOW) -> list[tuple[str, str]]:
    """Return what is found, without the folder."""
    folder = f"{Path(files.certificate).parent}/"
    return [(each.weight, each.what.replace(folder, "")) for each in examine(files, now).findings]


def test_a_good_certificate_is_described_and_nothing_is_found(tmp_path: Path, root: Made) -> None:
    middle = root.issue("Middle", authority=True, ends=NOW + 1000 * DAY)
    made = middle.issue("shop.example.com", "*.shop.example.com", "192.0.2.1", says_issuer=True)
    files = written(tmp_path, made)
    assert examine(files, NOW) == Examined(
        files,
        names=("shop.example.com", "*.shop.example.com", "192.0.2.1"),
        issuer="Middle",
        begins=NOW - DAY,
        ends=NOW + 90 * DAY,
        key="ECDSA P-256",
        chain=("Middle",),
    )


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (-2, [("warning", f"site.pem: not valid before {NOW - DAY:%Y-%m-%d %H:%M} UTC")]),
        (0, []),
        (68, []),
        (70, [("warning", f"site.pem: expires in 20 days, on {NOW + 90 * DAY:%Y-%m-%d}")]),
        (89, [("warning", f"site.pem: expires in 1 day, on {NOW + 90 * DAY:%Y-%m-%d}")]),
        (90, [("error", f"site.pem: expired less than a day ago, on {NOW + 90 * DAY:%Y-%m-%d}")]),
        (100, [("error", f"site.pem: expired 10 days ago, on {NOW + 90 * DAY:%Y-%m-%d}")]),
    ],
)
def test_the_time_tells(tmp_path: Path, root: Made, days: int, found: list[tuple[str, str]]) -> None:
    assert said(written(tmp_path, root.issue("x.example.com")), NOW + days * DAY) == found


def test_a_certificate_of_a_few_days_is_not_always_about_to_expire(tmp_path: Path, root: Made) -> None:
    files = written(tmp_path, root.issue("x.example.com", ends=NOW + 5 * DAY))
    assert said(files) == []
    assert said(files, NOW + 3.5 * DAY)[0][1].startswith("site.pem: expires in 1 day")


def test_an_intermediate_that_has_expired_is_named(tmp_path: Path, root: Made) -> None:
    middle = root.issue("Middle", authority=True, ends=NOW + 30 * DAY)
    files = written(tmp_path, middle.issue("x.example.com"))
    assert said(files, NOW + 31 * DAY) == [
        ("error", f"site.pem: Middle: expired 1 day ago, on {NOW + 30 * DAY:%Y-%m-%d}")
    ]


def test_the_chain_is_followed(tmp_path: Path, root: Made) -> None:
    middle = root.issue("Middle", authority=True)
    lower = middle.issue("Lower", authority=True)
    leaf = lower.issue("x.example.com", says_issuer=True)
    stranger = make_authority("Stranger").issue("Other", authority=True)
    for chain, found in [
        (leaf.pem + lower.pem + middle.pem, []),
        (leaf.pem + lower.pem + middle.pem + root.pem, []),
        (leaf.pem, [("warning", "site.pem: the certificate of Lower, which signed it, does not follow it")]),
        (leaf.pem + middle.pem + lower.pem, [("warning", "site.pem: the certificates are not in order")]),
        (
            leaf.pem + stranger.pem,
            [("warning", "site.pem: Other did not sign x.example.com, which it follows")],
        ),
        (
            leaf.pem + middle.pem,
            [("warning", "site.pem: Middle did not sign x.example.com, which it follows")],
        ),
    ]:
        assert said(written(tmp_path, leaf, chain=chain)) == found


def test_what_an_authority_without_intermediates_signed_needs_no_chain(tmp_path: Path, root: Made) -> None:
    assert said(written(tmp_path, root.issue("x.example.com"))) == []


def test_a_self_signed_certificate_is_told_as_one(tmp_path: Path) -> None:
    [(weight, what)] = said(written(tmp_path, self_signed("x.example.com")))
    assert (weight, what) == ("warning", "site.pem: self-signed, so that only clients trust it that were told to")


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (rsa.generate_private_key(65537, 1024), [("error", "an RSA key of 1024 bits is too weak")]),
        (rsa.generate_private_key(65537, 2048), []),
        (ec.generate_private_key(ec.SECP384R1()), []),
        (ec.generate_private_key(ec.SECP256K1()), [("error", "clients do not take the curve secp256k1")]),
        (ed25519.Ed25519PrivateKey.generate(), [("warning", "browsers do not take Ed25519")]),
    ],
    ids=["rsa 1024", "rsa 2048", "p-384", "secp256k1", "ed25519"],
)
def test_weak_and_unusual_keys_are_told(
    tmp_path: Path, root: Made, key: rsa.RSAPrivateKey, found: list[tuple[str, str]]
) -> None:
    files = written(tmp_path, root.issue("x.example.com", key=key))
    assert said(files) == [(weight, f"site.pem: x.example.com: {what}") for weight, what in found]


def test_a_signature_by_way_of_sha_1_is_refused(tmp_path: Path) -> None:
    made = make_authority("Old root", rsa.generate_private_key(65537, 2048)).issue("x.example.com")
    # Nothing signs that way any more, so the name of the algorithm is exchanged: sha256WithRSAEncryption for sha1...
    der = made.certificate.public_bytes(serialization.Encoding.DER)
    weak = der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105"))
    pem = x509.load_der_x509_certificate(weak).public_bytes(serialization.Encoding.PEM)
    assert said(written(tmp_path, made, chain=pem)) == [
        ("error", "site.pem: x.example.com: signed by way of SHA-1, which clients refuse")
    ]


def test_a_key_of_another_certificate_is_told_and_so_is_one_that_everybody_reads(tmp_path: Path, root: Made) -> None:
    made = root.issue("x.example.com")
    files = written(tmp_path, made, key=root.key_pem)
    assert said(files) == [("error", "site.key: the key does not belong to site.pem")]
    files = written(tmp_path, made)
    Path(files.key).chmod(0o644)
    assert said(files) == [("warning", "site.key: everybody on this machine may read the private key")]
    Path(files.key).chmod(0o640)
    assert said(files) == []


def test_chain_and_key_may_stand_in_one_file_in_any_order(tmp_path: Path, root: Made) -> None:
    made = root.issue("x.example.com", "y.example.com")
    path = tmp_path / "both.pem"
    for content in (made.chain + made.key_pem, made.key_pem + made.chain, made.chain + _PARAMETERS + made.key_pem):
        path.write_bytes(content)
        path.chmod(0o600)
        [files] = find_certificates(str(path))
        assert examine(files, NOW).names == ("x.example.com", "y.example.com")
        assert said(files) == []


def test_a_certificate_that_is_for_no_server_is_told(tmp_path: Path, root: Made) -> None:
    assert said(written(tmp_path, root.issue("ann", for_clients=True))) == [
        ("error", "site.pem: it is not for servers (extendedKeyUsage)")
    ]
    assert said(written(tmp_path, root.issue())) == [
        ("error", "site.pem: it names no host (subjectAltName), and clients look nowhere else")
    ]


@pytest.mark.parametrize(
    ("certificate", "key", "what"),
    [
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", None, "site.pem: not a certificate"),
        (None, b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n", "site.key: the private key cannot"),
    ],
    ids=["certificate", "key"],
)
def test_what_cannot_be_read_is_told_without_what_is_in_it(
    tmp_path: Path, root: Made, certificate: bytes | None, key: bytes | None, what: str
) -> None:
    [(weight, told)] = said(written(tmp_path, root.issue("x.example.com"), chain=certificate, key=key))
    assert weight == "error"
    assert told.startswith(what)
    assert "MIIB" not in told


def test_hosts_without_a_certificate_are_named_with_what_clients_see(tmp_path: Path, root: Made) -> None:
    (tmp_path / "second").mkdir()
    files = [
        written(tmp_path, root.issue("shop.example.com", "*.shop.example.com")),
        written(tmp_path / "second", root.issue("Pay.example.com")),
    ]
    examined = [examine(each, NOW) for each in files]
    hosts = ["shop.example.com", "a.shop.example.com", "*.shop.example.com", "pay.example.com", "*"]
    assert findings_of(examined, hosts) == []
    [first, second] = findings_of(examined, [*hosts, "a.b.shop.example.com", "*.example.com"])
    assert first.what == (
        "no certificate is for a.b.shop.example.com: clients are shown that of shop.example.com, *.shop.example.com"
    )
    assert second.what.startswith("no certificate is for *.example.com")
    [strict] = findings_of(examined, ["example.com"], strict_names=True)
    assert strict.what == "no certificate is for example.com: clients are refused"


_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
