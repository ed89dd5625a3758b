from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.certificates import Made, self_signed

from bodega.certificates import CertificateFiles, check_authorities, find_certificates
from bodega.errors import ConfigInvalid


@pytest.fixture(scope="module")
def made() -> Made:
    return self_signed("shop.example.com")


def lay_out(folder: Path, made: Made, *names: str) -> None:
    """Write files that hold what their names say: ``c`` a certificate, ``k`` a key, ``ck`` both."""
    for name in names:
        path, _, holds = name.rpartition(" ")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        content = {"c": made.pem, "k": made.key_pem, "ck": made.pem + made.key_pem, "-": b"nothing of it"}[holds]
        (folder / path).write_bytes(content)


@pytest.mark.parametrize(
    ("there", "written", "found"),
    [
        (["site.pem ck"], "site.pem", ["site.pem site.pem"]),
        (["site.pem c", "site.key k"], "site.pem", ["site.pem site.key"]),
        (["tls.crt c", "tls.key k"], "tls.crt", ["tls.crt tls.key"]),
        (["site.pem c", "site-key.pem k"], "site.pem", ["site.pem site-key.pem"]),
        (["fullchain.pem c", "privkey.pem k"], "fullchain.pem", ["fullchain.pem privkey.pem"]),
        (["fullchain3.pem c", "privkey3.pem k", "privkey.pem -"], "fullchain3.pem", ["fullchain3.pem privkey3.pem"]),
        (
            ["b.pem c", "b.key k", "a.crt c", "a.key k", "c.pem ck", "README -", ".hidden.pem -"],
            ".",
            ["a.crt a.key", "b.pem b.key", "c.pem c.pem"],
        ),
        (
            [
                *("live/b/fullchain.pem c", "live/b/privkey.pem k", "live/b/cert.pem c", "live/b/chain.pem c"),
                *("live/a/fullchain.pem c", "live/a/privkey.pem k", "live/README -", "live/other/notes.pem c"),
            ],
            "live",
            ["live/a/fullchain.pem live/a/privkey.pem", "live/b/fullchain.pem live/b/privkey.pem"],
        ),
        (
            ["fullchain.pem c", "privkey.pem k", "cert.pem c", "chain.pem c"],
            ".",
            ["fullchain.pem privkey.pem"],
        ),
    ],
)
def test_a_certificate_and_its_key_are_found(
    tmp_path: Path, made: Made, there: list[str], written: str, found: list[str]
) -> None:
    lay_out(tmp_path, made, *there)
    expected = [tuple(str(tmp_path / each) for each in pair.split()) for pair in found]
    pairs = find_certificates([str(tmp_path / written)])
    assert [(each.certificate, each.key) for each in pairs] == expected


def test_a_pair_that_is_written_is_taken_and_what_is_named_twice_counts_once(tmp_path: Path, made: Made) -> None:
    lay_out(tmp_path, made, "certificates/x.pem c", "keys/y.key k", "z.pem ck")
    pair = CertificateFiles(str(tmp_path / "certificates/x.pem"), str(tmp_path / "keys/y.key"))
    z = str(tmp_path / "z.pem")
    assert find_certificates([z, pair, str(tmp_path)]) == (CertificateFiles(z, z), pair)


@pytest.mark.parametrize(
    ("there", "written", "message"),
    [
        ([], "site.pem", "site.pem: there is no such file or folder"),
        (["site.pem -"], "site.pem", "no certificate in PEM form is in it; if it is in binary form"),
        (["site.key k"], "site.key", "a private key is in it, and no certificate; name the certificate instead"),
        (["site.pem c"], "site.pem", "site.pem: its private key is not there; put site.key or site-key.pem beside it"),
        (["site.pem c", "site.key -"], "site.pem", "site.key: no private key in PEM form is in it"),
        (["site.pem c", "site.key c"], "site.pem", "site.key: no private key in PEM form is in it"),
        (["fullchain.pem c"], "fullchain.pem", "put privkey.pem or fullchain.key or fullchain-key.pem beside it"),
        (["README -"], "README/site.pem", "README/site.pem: cannot be read: Not a directory"),
        (["live/a/README -"], "live", "live: no certificate is in this folder; it holds files like"),
        (["live/a/fullchain.pem -"], "live", "fullchain.pem: no certificate in PEM form"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, made: Made, there: list[str], written: str, message: str) -> None:
    lay_out(tmp_path, made, *there)
    with pytest.raises(ConfigInvalid) as caught:
        find_certificates(str(tmp_path / written))
    assert message in str(caught.value)
    assert caught.value.path == ("tls", 0)


def test_every_problem_is_told_and_nothing_of_a_key(tmp_path: Path, made: Made) -> None:
    lay_out(tmp_path, made, "a.key k", "b.pem c")
    with pytest.raises(ConfigInvalid) as caught:
        find_certificates([str(tmp_path / "a.key"), str(tmp_path / "b.pem"), str(tmp_path / "none")])
    assert [problem.path for problem in caught.value.problems] == [("tls", 0), ("tls", 1), ("tls", 2)]
    secret = made.key_pem.decode().splitlines()[1]
    assert secret not in str(caught.value) + repr(caught.value.problems)


def test_a_key_with_a_password_is_refused_with_the_way_out(tmp_path: Path, made: Made) -> None:
    lay_out(tmp_path, made, "site.pem c")
    encrypted = made.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (tmp_path / "site.key").write_bytes(encrypted)
    with pytest.raises(ConfigInvalid, match=r"the private key is encrypted.*openssl pkey"):
        find_certificates(str(tmp_path / "site.pem"))


def test_what_is_no_file_for_certificates_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "large.pem").open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(ConfigInvalid, match="too large"):
        find_certificates(str(tmp_path / "large.pem"))


def test_authorities_of_clients_are_certificates(tmp_path: Path, made: Made) -> None:
    lay_out(tmp_path, made, "ca.pem c", "wrong.pem k")
    check_authorities(str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigInvalid, match="a private key is in it, and no certificate") as caught:
        check_authorities(str(tmp_path / "wrong.pem"))
    assert caught.value.path == ("tls_client_ca",)
