"""Looks at a certificate as a client would, and says what is wrong with it or soon will be.

An *error* is what clients refuse today; a *warning* is what they will refuse soon, or some of them already do.
The time is an argument. Start at `examine`.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from bodega.certificates.pem import PemInvalid, read_pem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from bodega.certificates.files import CertificateFiles

Weight: TypeAlias = Literal["error", "warning"]
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

_SOON = datetime.timedelta(days=21)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a certificate.

    Attributes:
        weight: ``"error"`` for what clients refuse today.
        what: What is wrong; it begins with the file.
        hint: What to do, or an empty text.
    """

    weight: Weight
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a certificate says, and what is to be said about it.

    Attributes:
        files: Where it is.
        names: Host names and addresses it is for.
        issuer: Who signed it.
        begins: From when on it holds; None where it cannot be read.
        ends: Until when.
        key: Kind and size of its key: ``"ECDSA P-256"``.
        chain: Subjects of the certificates that follow it in the file.
        findings: What is wrong with it.
    """

    files: CertificateFiles
    names: tuple[str, ...] = ()
    issuer: str = ""
    begins: datetime.datetime | None = None
    ends: datetime.datetime | None = None
    key: str = ""
    chain: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def has(self, host: str) -> bool:
        """Whether it is for a host as it is declared: exact, or a wildcard (RFC 9525 section 6.3: for one label)."""
        wanted = host.lower()
        known = {name.lower() for name in self.names}
        return wanted in known or f"*.{wanted.partition('.')[2]}" in known


def examine(files: CertificateFiles, now: datetime.datetime) -> Examined:
    """Look at a certificate, those that follow it, and its key.

    Args:
        files: Where it is.
        now: The time, with its zone.
    """
    try:
        return _examined(files, x509.load_pem_x509_certificates(read_pem(Path(files.certificate))), now)
    except PemInvalid as error:
        finding = Finding("error", error.what, error.hint)
    except (ValueError, UnsupportedAlgorithm):
        finding = Finding("error", f"{files.certificate}: not a certificate, or one that is not well-formed")
    return Examined(files, findings=(finding,))


def _examined(files: CertificateFiles, chain: Sequence[x509.Certificate], now: datetime.datetime) -> Examined:
    leaf, *above = chain
    findings = [
        *_in_time(files.certificate, leaf, now),
        *(each for one in above for each in _in_time(f"{files.certificate}: {_called(one.subject)}", one, now)),
        *_for_servers(files, leaf),
        *_strong(files, chain),
        *_in_order(files, chain),
        *_key(files, leaf),
    ]
    return Examined(
        files,
        _names(leaf),
        _called(leaf.issuer),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        _key_kind(leaf),
        tuple(_called(each.subject) for each in above),
        tuple(findings),
    )


def findings_of(examined: Sequence[Examined], hosts: Iterable[str], *, strict_names: bool = False) -> list[Finding]:
    """Return what is to be said about all certificates of an edge, errors first.

    Args:
        examined: The certificates; the first is the default.
        hosts: The hosts that the edge serves; ``*`` is every host, and needs none of its own.
        strict_names: Whether a name that no certificate has is refused, in place of getting the default.
    """
    found = [finding for each in examined for finding in each.findings]
    without = [host for host in hosts if host != "*" and not any(each.has(host) for each in examined)]
    if examined and not (len(examined) == 1 and not examined[0].names):
        default = ", ".join(examined[0].names[:3])
        shown = f"clients are shown that of {default or examined[0].files.certificate}"
        what = "clients are refused" if strict_names else shown
        found += [Finding("warning", f"no certificate is for {host}: {what}", "add one") for host in without]
    return sorted(found, key=lambda finding: finding.weight != "error")


def _in_time(which: str, certificate: x509.Certificate, now: datetime.datetime) -> Iterator[Finding]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    # Who renews certificates of a few days does so at their last third.
    soon = min(_SOON, (ends - begins) / 3)
    if now >= ends:
        yield Finding("error", f"{which}: expired {_days(now - ends)} ago, on {ends:%Y-%m-%d}", "renew it")
    elif now < begins:
        yield Finding("warning", f"{which}: not valid before {begins:%Y-%m-%d %H:%M} UTC", "is the clock right?")
    elif ends - now < soon:
        yield Finding("warning", f"{which}: expires in {_days(ends - now)}, on {ends:%Y-%m-%d}", "renew it")


def _for_servers(files: CertificateFiles, leaf: x509.Certificate) -> Iterator[Finding]:
    if not _names(leaf):
        yield Finding("error", f"{files.certificate}: it names no host (subjectAltName), and clients look nowhere else")
    use = _extension(leaf, x509.ExtendedKeyUsage)
    allowed = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if use is not None and not any(each in allowed for each in use):
        yield Finding("error", f"{files.certificate}: it is not for servers (extendedKeyUsage)")


def _strong(files: CertificateFiles, chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for each in chain:
        name = f"{files.certificate}: {_called(each.subject)}"
        key = _public_key(each)
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
            yield Finding("error", f"{name}: an RSA key of {key.key_size} bits is too weak", "2048 bits or ECDSA P-256")
        elif isinstance(key, ed25519.Ed25519PublicKey):
            yield Finding("warning", f"{name}: browsers do not take Ed25519", "use ECDSA P-256")
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if key.curve.name not in _CURVES:
                yield Finding("error", f"{name}: clients do not take the curve {key.curve.name}", "use ECDSA P-256")
        elif not isinstance(key, rsa.RSAPublicKey):
            yield Finding("error", f"{name}: clients do not take a key of this kind", "use ECDSA P-256")
        # What a root says of itself proves nothing, and is not looked at.
        if each.subject != each.issuer and each.signature_algorithm_oid.dotted_string in _BROKEN_HASHES:
            broken = _BROKEN_HASHES[each.signature_algorithm_oid.dotted_string]
            yield Finding("error", f"{name}: signed by way of {broken}, which clients refuse", "have it issued anew")


def _in_order(files: CertificateFiles, chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    leaf, *above = chain
    if _issued(leaf, leaf):
        yield Finding(
            "warning",
            f"{files.certificate}: self-signed, so that only clients trust it that were told to",
            'for development, tls = "dev" makes one whose authority is trusted once',
        )
        return
    if not above:
        # A certificate that says where its issuer's is to be had comes from an authority that has intermediates;
        # clients that do not fetch it cannot tell to whom it leads.
        if _says_where_issuer_is(leaf):
            yield Finding(
                "warning",
                f"{files.certificate}: the certificate of {_called(leaf.issuer)}, which signed it, does not follow it",
                "append the intermediate certificate; certbot's fullchain.pem has it",
            )
        return
    for below, each in zip(chain, above, strict=False):
        if _issued(below, each):
            continue
        if any(_issued(below, other) for other in chain if other is not below):
            hint = "each certificate is followed by that of who signed it"
            yield Finding("warning", f"{files.certificate}: the certificates are not in order", hint)
        else:
            yield Finding(
                "warning",
                f"{files.certificate}: {_called(each.subject)} did not sign {_called(below.subject)}, which it follows",
                f"put the certificate of {_called(below.issuer)} there",
            )
        return


def _key(files: CertificateFiles, leaf: x509.Certificate) -> Iterator[Finding]:
    path = Path(files.key)
    try:
        key = serialization.load_pem_private_key(_key_block(read_pem(path)), None)
        if path.stat().st_mode & 0o004:
            what = f"{files.key}: everybody on this machine may read the private key"
            yield Finding("warning", what, f"chmod o= {path}")
    except PemInvalid as error:
        yield Finding("error", error.what, error.hint)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says might quote what it read.
        yield Finding("error", f"{files.key}: the private key cannot be read")
    else:
        if _spki(key.public_key()) != _spki(leaf.public_key()):
            yield Finding("error", f"{files.key}: the key does not belong to {files.certificate}")


def _key_block(content: bytes) -> bytes:
    # In a file with its chain the key may stand behind it, or parameters of its curve before it.
    begin = content.rfind(b"-----BEGIN", 0, content.find(b"PRIVATE KEY-----"))
    return content[max(begin, 0) :]


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _says_where_issuer_is(certificate: x509.Certificate) -> bool:
    access = _extension(certificate, x509.AuthorityInformationAccess)
    return access is not None and any(each.access_method == AuthorityInformationAccessOID.CA_ISSUERS for each in access)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return ()
    return (
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    )


def _extension(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _called(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)
    return name.rfc4514_string() or "nobody"


def _key_kind(certificate: x509.Certificate) -> str:
    key = _public_key(certificate)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "another kind"


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _days(time: datetime.timedelta) -> str:
    days = time.days
    return "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_BROKEN_HASHES = {
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA-1",
    "1.2.840.10045.4.1": "SHA-1",
    "1.3.14.3.2.29": "SHA-1",
}
