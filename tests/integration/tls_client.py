"""A client over TLS whose connection stays open, and what it sees of the server."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from typing import Self

    from tests.certificates import Made

_SECONDS = 20.0


@dataclass
class TlsClient:
    """One connection, by which several requests may go."""

    url: str
    name: str | None = None
    authority: Made | Path | None = None
    certificate: tuple[Path, Path] | None = None
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    _socket: ssl.SSLSocket = field(init=False, repr=False)

    def __enter__(self) -> Self:
        """Connect, and check the server's certificate where an authority is given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.maximum_version = self.newest
        if self.authority is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif isinstance(self.authority, Path):
            context.load_verify_locations(self.authority)
        else:
            context.load_verify_locations(cadata=self.authority.pem.decode())
        if self.certificate is not None:
            context.load_cert_chain(*self.certificate)
        address = urlsplit(self.url)
        plain = socket.create_connection((address.hostname or "", address.port or 0), _SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=self.name)
        except BaseException:
            plain.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._socket.close()

    @property
    def shown(self) -> str:
        """The fingerprint of the certificate that the server showed."""
        return hashlib.sha256(self._socket.getpeercert(binary_form=True) or b"").hexdigest()

    @property
    def version(self) -> str | None:
        """The version of TLS that is spoken."""
        return self._socket.version()

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask, and return status and body."""
        host = self.name or "localhost"
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        response = HTTPResponse(self._socket)
        response.begin()
        return response.status, response.read()


def shown(url: str, name: str | None) -> str:
    """Return the fingerprint of the certificate that a server shows for a name."""
    with TlsClient(url, name) as client:
        return client.shown


def fingerprint(made: Made) -> str:
    """Return the fingerprint of a certificate."""
    return made.certificate.fingerprint(hashes.SHA256()).hex()
