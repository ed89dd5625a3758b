"""A certificate for development: an authority of this user's own, trusted once, and certificates that it signs.

Both are kept in ``$XDG_STATE_HOME/bodega/tls`` (``~/.local/state/bodega/tls``), for their owner alone. The authority
stays for years; a certificate is made anew where it is about to expire, or where names are wanted that it has not.

Trusting the authority is harmless even if its key is stolen: name constraints (RFC 5280 section 4.2.1.10) allow it
nothing but loopback addresses, this machine's name, and names that are nobody's (RFC 6761, RFC 8375, ``.internal``),
and its key usage nothing but servers: no mail, no programs, no clients.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import ipaddress
import os
import shlex
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bodega.certificates.files import CertificateFiles
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 90
_RENEWED_DAYS_BEFORE = 30

# The names of RFC 6761 and RFC 8375, and `internal`, which ICANN keeps free for private use.
_NOBODYS = (
    *("localhost", "test", "example", "invalid", "internal", "home.arpa"),
    *("example.com", "example.net", "example.org"),
)
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_ADDRESSES = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))


@dataclass(frozen=True, slots=True)
class DevelopmentCertificate:
    """A certificate for development.

    Attributes:
        files: The certificate and its key.
        authority: The certificate of the authority, which clients have to trust.
        left_out: Names that were wanted and that the authority may not sign.
    """

    files: CertificateFiles
    authority: Path
    left_out: tuple[str, ...]

    @property
    def trust_command(self) -> str:
        """What makes this machine trust the authority, typed once."""
        path = shlex.quote(str(self.authority))
        if shutil.which("update-ca-certificates"):
            return f"sudo cp {path} /usr/local/share/ca-certificates/bodega.crt && sudo update-ca-certificates"
        return f"sudo trust anchor {path}"

    def curl_command(self, url: str) -> str:
        """Return what asks a listener of this machine and trusts the authority for this once.

        Args:
            url: ``https://127.0.0.1:8443``.
        """
        return f"curl --cacert {shlex.quote(str(self.authority))} {_local(url)}/"


def development_certificate(
    hosts: Iterable[str],
    environment: Mapping[str, str],
    *,
    now: datetime.datetime | None = None,
    machine: str | None = None,
) -> DevelopmentCertificate:
    """Return a certificate for this machine and for the hosts, made if it is not there.

    Args:
        hosts: Names that are wanted beside ``localhost``; wildcards too.
        environment: Says where the folder is.
        now: The time; by default that of the clock.
        machine: The name of this machine; by default what the system says.

    Raises:
        ConfigInvalid: If the folder belongs to somebody else or is open to others, or cannot be written.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    named = (socket.gethostname() if machine is None else machine).lower()
    try:
        folder = _folder(environment)
        with _locked(folder):
            authority = _Authority.kept(folder, named, moment)
            wanted = ["localhost", "*.localhost", named, *sorted({host.lower() for host in hosts if host != "*"})]
            names = [name for name in dict.fromkeys(wanted) if authority.may_sign(name)]
            files = authority.certificate(folder, names, moment)
    except (OSError, RuntimeError) as error:
        # A RuntimeError: the user has no home directory.
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise ConfigInvalid(
            f"no certificate for development can be made: {why}",
            hint="set XDG_STATE_HOME to a folder that can be written to",
            path=("tls",),
        ) from None
    left_out = tuple(name for name in wanted if name not in names and name != named)
    return DevelopmentCertificate(files, folder / _AUTHORITY_FILE, left_out)


def _local(url: str) -> str:
    """Return the address of a listener of this machine under the name that the certificate has in any case."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "::1", "0.0.0.0", "::"):  # noqa: S104 - It is compared.
        return url
    return f"{parts.scheme}://localhost:{parts.port}"


class _Authority:
    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def kept(cls, folder: Path, machine: str, now: datetime.datetime) -> _Authority:
        """Return the one that is there, else a new one."""
        certificate, key = folder / _AUTHORITY_FILE, folder / _AUTHORITY_KEY
        if certificate.exists() and key.exists():
            found = cls(_read_certificate(certificate), _read_key(key))
            last = now + datetime.timedelta(days=_CERTIFICATE_DAYS)
            if found._certificate.not_valid_after_utc > last:
                return found
        made = cls._made(machine, now)
        # The key first: whoever is interrupted between the two begins anew.
        _write(key, _key_pem(made._key), 0o600)
        _write(certificate, _pem(made._certificate), 0o644)
        return made

    @classmethod
    def _made(cls, machine: str, now: datetime.datetime) -> _Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "bodega"),
                # At most 64 letters (RFC 5280, appendix A.1).
                x509.NameAttribute(NameOID.COMMON_NAME, f"bodega development on {machine}"[:64]),
            ]
        )
        names = [*_NOBODYS, *([machine] if _is_name(machine) else [])]
        permitted = [*map(x509.DNSName, names), *map(x509.IPAddress, _LOOPBACK)]
        certificate = (
            _begun(name, name, key.public_key(), now, _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    def may_sign(self, name: str) -> bool:
        """Whether the constraints allow a name."""
        bare = name.removeprefix("*.")
        constraints = self._certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        permitted = [each.value for each in constraints.permitted_subtrees or () if isinstance(each, x509.DNSName)]
        return _is_name(bare) and any(bare == each or bare.endswith(f".{each}") for each in permitted)

    def certificate(self, folder: Path, names: list[str], now: datetime.datetime) -> CertificateFiles:
        """Return the certificate for the names that is there, else a new one, with its key in the same file."""
        digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
        path = folder / f"certificate-{digest}.pem"
        if not self._is_good(path, now):
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bodega development")])
            alternatives = [*map(x509.DNSName, names), *map(x509.IPAddress, _ADDRESSES)]
            certificate = (
                _begun(subject, self._certificate.subject, key.public_key(), now, _CERTIFICATE_DAYS)
                .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
                .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                .add_extension(_key_usage(signs_certificates=False), critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .add_extension(
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
                )
                .sign(self._key, hashes.SHA256())
            )
            _write(path, _pem(certificate) + _key_pem(key), 0o600)
        return CertificateFiles(str(path), str(path))

    def _is_good(self, path: Path, now: datetime.datetime) -> bool:
        try:
            certificate = _read_certificate(path)
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:  # noqa: BLE001 - Whatever is wrong with it, a new one is right.
            return False
        return certificate.not_valid_after_utc > now + datetime.timedelta(days=_RENEWED_DAYS_BEFORE)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks of virtual machines may be behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_name(text: str) -> bool:
    labels = text.split(".")
    return len(text) < 254 and all(
        0 < len(label) < 64 and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in label)
        for label in labels
    )


def _folder(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_STATE_HOME", "")
    state = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    folder = state / "bodega" / "tls"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ConfigInvalid(
            f"{folder} belongs to somebody else", hint="remove it, or set XDG_STATE_HOME to a folder of yours"
        )
    if status.st_mode & 0o077:
        raise ConfigInvalid(f"{folder} is open to others", hint=f"chmod 700 {folder}")
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Several edges may start at once, and only one of them makes the authority.
    with (folder / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise _spoiled(path) from None


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        raise _spoiled(path) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _spoiled(path)
    return key


def _spoiled(path: Path) -> ConfigInvalid:
    return ConfigInvalid(
        f"{path} is not what was written there",
        hint=f"remove the folder {path.parent}; a new authority has to be trusted again",
        path=("tls",),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # Never half of it, and never readable by others, not even for a moment.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


_AUTHORITY_FILE = "authority.pem"
_AUTHORITY_KEY = "authority.key"
