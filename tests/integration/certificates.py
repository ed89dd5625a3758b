"""Certificates for a test run: an authority, and what it signed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


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
    """Signs certificates, and is trusted by `trusting` contexts."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.file = str(folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.file)

    def sign(self, *names: str) -> Pair:
        """Make a key, and sign a certificate for names, addresses or a client's e-mail address."""
        made = self._authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
        stem = names[0].replace("*", "any").replace("@", "-at-")
        certificate, key = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(key))
        return Pair(str(certificate), str(key))

    def trusting(self, *protocols: str) -> ssl.SSLContext:
        """Make a client's context that trusts this authority, and offers these protocols by ALPN."""
        context = ssl.create_default_context(cafile=self.file)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context
