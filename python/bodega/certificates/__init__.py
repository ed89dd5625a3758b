"""Certificates as files: which belong together, what is right or wrong with them, and one for development.

Private keys are read to see that they are keys, and to compare them with their certificates; nothing of them is ever
part of a value, a message or a log. Nothing here opens a socket. Start at `find_certificates`.
"""

from __future__ import annotations

from bodega.certificates.development import DevelopmentCertificate, development_certificate, local_url
from bodega.certificates.examine import Examined, Finding, examine, findings_of
from bodega.certificates.files import CertificateFiles, check_authorities, find_certificates

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
    "local_url",
]
