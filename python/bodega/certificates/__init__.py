"""Certificates as files: which belong together, what is right or wrong with them, and one for development.

Private keys are read to see that they are keys, and to compare them with their certificates; nothing of them is ever
part of a value, a message or a log. Nothing here opens a socket. Start at `find_certificates`.

What reads or makes X.509 is loaded when it is first used: most commands never do.
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING

from bodega.certificates.files import CertificateFiles, check_authorities, find_certificates

if _TYPE_CHECKING:
    from bodega.certificates.development import DevelopmentCertificate, development_certificate
    from bodega.certificates.examination import Examined, Finding, examine, findings_of

__all__ = [
    "CertificateFiles",
    "DevelopmentCertificate",
    "Examined",
    "Finding",
    "check_authorities",
    "development_certificate",
    "examine",
    "find_certificates",
    "findings_of",
]

_HOMES = {
    "bodega.certificates.development": {"DevelopmentCertificate", "development_certificate"},
    "bodega.certificates.examination": {"Examined", "Finding", "examine", "findings_of"},
}


def __getattr__(name: str) -> object:
    """Load a name from the module of its subject."""
    for home, names in _HOMES.items():
        if name in names:
            found = _importlib.import_module(home)
            globals().update({each: getattr(found, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
