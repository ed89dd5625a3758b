"""Certificates for tests, made when they are asked for: authorities, and what they sign."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
_SIGNS_ALONE = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and who signed it."""

    certificate: x509.Certificate
    key: Key
    issuer: Made | None = None

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain(self) -> bytes:
        """The certificate and those that signed it, without the root."""
        above = self.issuer
        return self.pem + (above.chain if above is not None and above.issuer is not None else b"")

    @property
    def key_pem(self) -> bytes:
        """The private key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def write(self, folder: Path, stem: str) -> tuple[Path, Path]:
        """Write chain and key side by side, and return where."""
        certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        certificate.write_bytes(self.chain)
        key.write_bytes(self.key_pem)
        key.chmod(0o600)
        return certificate, key

    def issue(
        self,
        *names: str,
        begins: datetime.datetime = NOW - DAY,
        ends: datetime.datetime = NOW + 90 * DAY,
        key: Key | None = None,
        authority: bool = False,
        for_clients: bool = False,
        says_issuer: bool = False,
    ) -> Made:
        """Sign a certificate for names and addresses."""
        return _make(
            self,
            names,
            begins,
            ends,
            key,
            authority=authority,
            for_clients=for_clients,
            says_issuer=says_issuer,
        )


def make_authority(name: str = "An Authority", key: Key | None = None) -> Made:
    """Make a root."""
    return _make(None, [name], NOW - DAY, NOW + 3650 * DAY, key, authority=True)


def self_signed(*names: str) -> Made:
    """Make a certificate that nobody else signed."""
    return _make(None, names, NOW - DAY, NOW + 90 * DAY, None)


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain and its key, in files."""

    certificate: str
    key: str

    @property
    def options(self) -> dict[str, str]:
        """As the native core takes it."""
        return {"certificate": self.certificate, "key": self.key}


class Authority:
    """Signs certificates into files of one folder, and is trusted by `trusting` contexts."""

    def __init__(self, folder: Path) -> None:
        self._root = make_authority()
        self._folder = folder
        self._n_signed = 0
        self.file = str(folder / "authority.pem")
        Path(self.file).write_bytes(self._root.pem)

    def sign(self, *names: str, for_clients: bool = False) -> Pair:
        """Make a key, and sign a certificate for names, addresses or a client's e-mail address."""
        # Files of their own each time: an edge that starts later reads those that it was given.
        self._n_signed += 1
        made = self._root.issue(*names, for_clients=for_clients)
        certificate, key = made.write(self._folder, f"{self._n_signed}-{names[0].replace('*', 'any')}")
        return Pair(str(certificate), str(key))

    def trusting(self, *protocols: str) -> ssl.SSLContext:
        """Make a client's context that trusts this authority, and offers these protocols by ALPN."""
        context = ssl.create_default_context(cafile=self.file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


def _make(
    issuer: Made | None,
    names: tuple[str, ...] | list[str],
    begins: datetime.datetime,
    ends: datetime.datetime,
    key: Key | None,
    *,
    authority: bool = False,
    for_clients: bool = False,
    says_issuer: bool = False,
) -> Made:
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "nameless")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    )
    if issuer is not None:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(above, critical=False)
    if authority:
        builder = builder.add_extension(_SIGNS_ALONE, critical=True)
    if names and not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        use = ExtendedKeyUsageOID.CLIENT_AUTH if for_clients else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    if says_issuer:
        place = x509.UniformResourceIdentifier("http://authority.example/issuer.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    signer = issuer.key if issuer else own
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(builder.sign(signer, algorithm), own, issuer)


def _name(text: str) -> x509.GeneralName:
    if "@" in text:
        return x509.RFC822Name(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
