"""The certificates that an edge shows: which its settings name now, and whether their files have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bodega import certificates
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bodega.certificates import CertificateFiles
    from bodega.config import EdgeSettings
    from bodega.distributions import Declarations

Stamp: TypeAlias = tuple[object, ...]


def certificates_of(
    settings: EdgeSettings, declarations: Declarations, environment: Mapping[str, str]
) -> tuple[CertificateFiles, ...]:
    """Find the certificates that the settings name; the first is the default. None where TLS is not spoken.

    Args:
        settings: What is of this machine.
        declarations: What is served; a certificate for development is made for its hosts.
        environment: Where the folder of certificates for development is named.

    Raises:
        ConfigInvalid: If one is missing or cannot be used.
    """
    if settings.tls is None:
        return ()
    if settings.tls == "dev":
        return (certificates.development_certificate(declarations.hosts, environment).files,)
    return certificates.find_certificates(settings.tls)


def certificates_json(files: Sequence[CertificateFiles]) -> str:
    """Write certificates as the native core takes them."""
    return json.dumps(certificate_entries(files))


def certificate_entries(files: Sequence[CertificateFiles]) -> list[dict[str, str]]:
    """Return certificates as plain values."""
    return [{"certificate": each.certificate, "key": each.key} for each in files]


def stamp_of(settings: EdgeSettings, declarations: Declarations, environment: Mapping[str, str]) -> Stamp:
    """Return what changes whenever a certificate is added, removed or renewed; never raises.

    Files are told apart by inode, size and time: a renewal that replaces a link is seen as one that writes.
    """
    try:
        files = certificates_of(settings, declarations, environment)
    except ConfigInvalid as error:
        return ("wrong", str(error))
    return tuple((path, *_state(path)) for each in files for path in (each.certificate, each.key))


def _state(path: str) -> tuple[int, ...]:
    try:
        status = Path(path).stat()
    except OSError as error:
        return (error.errno or 0,)
    return (status.st_ino, status.st_size, status.st_mtime_ns)
