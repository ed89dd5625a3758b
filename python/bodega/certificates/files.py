"""Finds certificates and their keys.

What may be named is a file or a folder:

- a file that holds chain and key together;
- ``x.pem`` or ``x.crt`` with ``x.key`` beside it (or ``x-key.pem``, as some tools write);
- certbot's ``fullchain.pem`` with ``privkey.pem`` beside it;
- a folder of such files, or of folders as certbot's ``live/`` has them, in the order of their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.certificates.pem import PemInvalid, read_labels
from bodega.distributions import checks
from bodega.distributions.shapes import TextShape, about
from bodega.errors import ConfigInvalid, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its key, where no rule finds the one beside the other.

    Attributes:
        certificate: The chain (PEM), the server's own certificate first.
        key: Its private key (PEM); it may be the same file.
    """

    certificate: str = field(
        metadata=about(
            TextShape(examples=("/etc/bodega/site.pem",)), "The chain (PEM), the server's own certificate first."
        )
    )
    key: str = field(
        metadata=about(TextShape(examples=("/etc/bodega/keys/site.key",)), "Its private key (PEM), not encrypted.")
    )

    def __post_init__(self) -> None:
        """Check that both are paths."""
        for name in ("certificate", "key"):
            if not checks.text(getattr(self, name), name):
                raise ConfigInvalid("an empty path names no file", path=(name,))


def find_certificates(
    written: str | CertificateFiles | Sequence[str | CertificateFiles],
) -> tuple[CertificateFiles, ...]:
    """Find what the setting `tls` names; the first is the default.

    Args:
        written: A file, a folder, a pair of files, or several of them.

    Raises:
        ConfigInvalid: With everything that is missing, cannot be read, or is no certificate.
    """
    found: dict[CertificateFiles, None] = {}
    problems: list[Problem] = []
    for index, each in enumerate((written,) if isinstance(written, str | CertificateFiles) else written):
        try:
            found |= dict.fromkeys(_checked(each) if isinstance(each, CertificateFiles) else _found(each))
        except PemInvalid as error:
            problems.append(Problem(error.what, error.hint, ("tls", index)))
    if problems:
        raise ConfigInvalid.of(problems)
    return tuple(found)


def check_authorities(path: str) -> None:
    """Check that a file holds certificates of authorities.

    Raises:
        ConfigInvalid: If it does not, or cannot be read.
    """
    try:
        labels = read_labels(Path(path).expanduser())
        if "CERTIFICATE" not in labels:
            raise _no_certificate(Path(path), labels)
    except PemInvalid as error:
        raise ConfigInvalid(error.what, hint=error.hint, path=("tls_client_ca",)) from None


def _checked(pair: CertificateFiles) -> list[CertificateFiles]:
    certificate, key = Path(pair.certificate).expanduser(), Path(pair.key).expanduser()
    labels = read_labels(certificate)
    if "CERTIFICATE" not in labels:
        raise _no_certificate(certificate, labels)
    if not _has_key(read_labels(key)):
        raise PemInvalid(f"{key}: no private key in PEM form is in it")
    return [CertificateFiles(str(certificate), str(key))]


def _found(written: str) -> list[CertificateFiles]:
    path = Path(written).expanduser()
    try:
        if path.is_dir():
            return _in_folder(path)
    except OSError as error:
        raise PemInvalid.unreadable(path, error) from None
    labels = read_labels(path)
    if "CERTIFICATE" not in labels:
        raise _no_certificate(path, labels)
    return [_with_key(path, labels)]


def _in_folder(folder: Path) -> list[CertificateFiles]:
    names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    found = [pair for name in names for pair in _of_entry(folder / name, names)]
    if not found:
        raise PemInvalid(
            f"{folder}: no certificate is in this folder",
            hint="it holds files like site.pem and site.key, or certbot's folders with fullchain.pem and privkey.pem",
        )
    return found


def _of_entry(entry: Path, names: Sequence[str]) -> Iterator[CertificateFiles]:
    if entry.is_dir():
        if (entry / "fullchain.pem").exists():
            yield _with_key(entry / "fullchain.pem", read_labels(entry / "fullchain.pem"))
        return
    # Beside a whole chain certbot lays its parts, which are no certificates of their own.
    is_part = entry.name in ("cert.pem", "chain.pem") and "fullchain.pem" in names
    if entry.suffix not in (".pem", ".crt") or is_part or not entry.is_file():
        return
    labels = read_labels(entry)
    if "CERTIFICATE" in labels:
        yield _with_key(entry, labels)


def _with_key(certificate: Path, labels: Sequence[str]) -> CertificateFiles:
    if "CERTIFICATE" not in labels:
        raise _no_certificate(certificate, labels)
    if _has_key(labels):
        return CertificateFiles(str(certificate), str(certificate))
    candidates = list(_key_candidates(certificate))
    for candidate in candidates:
        if candidate.exists():
            if not _has_key(read_labels(candidate)):
                raise PemInvalid(f"{candidate}: no private key in PEM form is in it")
            return CertificateFiles(str(certificate), str(candidate))
    names = " or ".join(candidate.name for candidate in candidates)
    raise PemInvalid(
        f"{certificate}: its private key is not there",
        hint=f'put {names} beside it, or write {{ certificate = "{certificate}", key = "..." }}',
    )


def _key_candidates(certificate: Path) -> Iterator[Path]:
    numbered = re.fullmatch(r"(?:fullchain|cert)(\d*)\.pem", certificate.name)
    if numbered:
        yield certificate.with_name(f"privkey{numbered[1]}.pem")
    yield certificate.with_suffix(".key")
    yield certificate.with_name(f"{certificate.stem}-key.pem")


def _has_key(labels: Sequence[str]) -> bool:
    return any(label.endswith("PRIVATE KEY") for label in labels)


def _no_certificate(path: Path, labels: Sequence[str]) -> PemInvalid:
    if _has_key(labels):
        return PemInvalid(f"{path}: a private key is in it, and no certificate", hint="name the certificate instead")
    return PemInvalid(
        f"{path}: no certificate in PEM form is in it",
        hint=f"if it is in binary form: openssl x509 -inform der -in {path} -out site.pem",
    )
