from __future__ import annotations

import datetime
import ipaddress
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from bodega.certificates import development_certificate
from bodega.errors import ConfigInvalid

NOW = datetime.datetime.now(datetime.UTC)


def certificate(path: str | Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def names(path: str) -> set[str]:
    alternatives = certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(alternatives.get_values_for_type(x509.DNSName))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path)}


def test_the_certificate_has_the_names_of_this_machine_and_of_the_hosts(environment: dict[str, str]) -> None:
    made = development_certificate(["shop.localhost", "*.shop.test", "*"], environment, machine="ann-laptop")
    assert names(made.files.certificate) == {"localhost", "*.localhost", "ann-laptop", "shop.localhost", "*.shop.test"}
    alternatives = certificate(made.files.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    addresses = alternatives.value.get_values_for_type(x509.IPAddress)
    assert addresses == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert made.left_out == ()


@pytest.mark.parametrize(
    "subject",
    [
        *(
            x509.DNSName(name)
            for name in ("localhost", "shop.localhost", "a.shop.test", "shop.example.com", "ann-laptop")
        ),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")),
    ],
    ids=str,
)
def test_whoever_trusts_the_authority_trusts_the_certificate(
    environment: dict[str, str], subject: x509.DNSName | x509.IPAddress
) -> None:
    hosts = ["shop.localhost", "*.shop.test", "shop.example.com"]
    made = development_certificate(hosts, environment, machine="ann-laptop")
    store = Store([certificate(made.authority)])
    PolicyBuilder().store(store).build_server_verifier(subject).verify(certificate(made.files.certificate), [])


def test_the_authority_may_sign_nothing_that_is_somebodys(environment: dict[str, str]) -> None:
    made = development_certificate(["shop.acme.com", "example.com.evil.org", "10.0.0.1"], environment, machine="x")
    assert made.left_out == ("10.0.0.1", "example.com.evil.org", "shop.acme.com")
    extensions = certificate(made.authority).extensions
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.excluded_subtrees is None
    permitted = {str(each.value) for each in constraints.value.permitted_subtrees or ()}
    assert permitted == {
        *("localhost", "test", "example", "invalid", "internal", "home.arpa", "x"),
        *("example.com", "example.net", "example.org", "127.0.0.0/8", "::1/128"),
    }
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)


def test_the_authority_stays_and_so_does_the_certificate_until_shortly_before_its_end(
    environment: dict[str, str],
) -> None:
    def made_after(days: int) -> tuple[bytes, bytes]:
        made = development_certificate([], environment, now=NOW + datetime.timedelta(days=days), machine="x")
        return made.authority.read_bytes(), Path(made.files.certificate).read_bytes()

    authority, first = made_after(0)
    assert made_after(59) == (authority, first)
    authority_then, second = made_after(61)
    assert authority_then == authority
    assert second != first
    assert x509.load_pem_x509_certificate(second).not_valid_after_utc > NOW + datetime.timedelta(days=140)
    assert made_after(3600)[0] != authority


def test_certificates_for_other_names_stand_side_by_side(environment: dict[str, str]) -> None:
    one = development_certificate(["one.test"], environment, machine="x")
    before = Path(one.files.certificate).read_bytes()
    two = development_certificate(["two.test"], environment, machine="x")
    assert one.files != two.files
    assert one.authority == two.authority
    assert Path(one.files.certificate).read_bytes() == before


def test_a_certificate_of_an_authority_that_was_removed_is_made_anew(environment: dict[str, str]) -> None:
    made = development_certificate([], environment, machine="x")
    before = certificate(made.files.certificate)
    made.authority.unlink()
    development_certificate([], environment, machine="x")
    after = certificate(made.files.certificate)
    assert after != before
    after.verify_directly_issued_by(certificate(made.authority))


def test_edges_that_start_at_once_share_one_authority(environment: dict[str, str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: development_certificate([f"{n}.test"], environment, machine="x"), range(8)))
    for each in made:
        certificate(each.files.certificate).verify_directly_issued_by(certificate(each.authority))


def test_keys_are_for_their_owner_alone(environment: dict[str, str]) -> None:
    made = development_certificate([], environment, machine="x")
    folder = made.authority.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = [folder / "authority.key", Path(made.files.key)]
    assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]
    assert sorted(each.name for each in folder.iterdir() if each.suffix not in (".pem", ".key")) == [".lock"]


def test_a_folder_that_is_open_to_others_is_refused(environment: dict[str, str]) -> None:
    folder = development_certificate([], environment, machine="x").authority.parent
    folder.chmod(0o755)
    with pytest.raises(ConfigInvalid, match="open to others; chmod 700"):
        development_certificate([], environment, machine="x")


def test_where_nothing_can_be_written_it_is_said_how_to_name_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigInvalid, match=r"can be made: .*/file.*: Not a directory; set XDG_STATE_HOME"):
        development_certificate([], {"XDG_STATE_HOME": str(tmp_path / "file")}, machine="x")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigInvalid, match=r"Could not determine home directory.; set XDG_STATE_HOME"):
        development_certificate([], {}, machine="x")


@pytest.mark.parametrize("name", ["authority.pem", "authority.key"])
def test_what_was_spoiled_is_named_and_nothing_of_it_is_shown(environment: dict[str, str], name: str) -> None:
    folder = development_certificate([], environment, machine="x").authority.parent
    (folder / name).write_text("hunter2")
    with pytest.raises(ConfigInvalid, match=f"{name} is not what was written there; remove the folder") as caught:
        development_certificate([], environment, machine="x")
    assert "hunter2" not in str(caught.value)


def test_a_machine_whose_name_is_no_name_has_a_certificate_too(environment: dict[str, str]) -> None:
    made = development_certificate([], environment, machine="Ann's laptop")
    assert names(made.files.certificate) == {"localhost", "*.localhost"}
    assert made.left_out == ()


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (
            "update-ca-certificates",
            "sudo cp {} /usr/local/share/ca-certificates/bodega.crt && sudo update-ca-certificates",
        ),
        ("trust", "sudo trust anchor {}"),
    ],
)
def test_what_is_to_be_typed_fits_the_system_and_may_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, command: str
) -> None:
    (tmp_path / program).write_text("#!/bin/sh\n")
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    state = tmp_path / "with a space"
    made = development_certificate([], {"XDG_STATE_HOME": str(state)}, machine="x")
    path = f"'{state}/bodega/tls/authority.pem'"
    assert made.trust_command == command.format(path)
    assert made.curl_command("https://127.0.0.1:8443") == f"curl --cacert {path} https://localhost:8443/"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("https://127.0.0.1:8443", "https://localhost:8443"),
        ("https://[::1]:8443", "https://localhost:8443"),
        ("https://0.0.0.0:443", "https://localhost:443"),
        ("https://10.0.0.7:443", "https://10.0.0.7:443"),
    ],
)
def test_a_listener_of_this_machine_is_asked_by_the_name_on_the_certificate(
    environment: dict[str, str], url: str, local: str
) -> None:
    made = development_certificate([], environment, machine="x")
    assert made.curl_command(url).endswith(f"authority.pem {local}/")
