"""What is in a PEM file (RFC 7468), by the labels of its blocks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A bundle of every public authority has a quarter of it; whatever is larger is something else.
_LARGEST_BYTES = 2_000_000


class PemInvalid(Exception):
    """A file that does not hold what it should.

    Attributes:
        what: The file, and what is wrong with it.
        hint: What to do, or an empty text.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Keep what was wrong and what to do."""
        super().__init__(what)
        self.what = what
        self.hint = hint

    @classmethod
    def unreadable(cls, path: Path, error: OSError) -> PemInvalid:
        """Say why a file cannot be read."""
        if isinstance(error, FileNotFoundError):
            return cls(f"{path}: there is no such file or folder")
        hint = "keys are often for root alone: let the user of the edge read it, and nobody else"
        return cls(f"{path}: cannot be read: {error.strerror}", hint=hint if isinstance(error, PermissionError) else "")


def read_pem(path: Path) -> bytes:
    """Read a file.

    Raises:
        PemInvalid: If it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise PemInvalid.unreadable(path, error) from None
    if len(content) > _LARGEST_BYTES:
        raise PemInvalid(f"{path}: too large for certificates")
    return content


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels of the blocks in a file, in order: ``CERTIFICATE``, ``PRIVATE KEY``.

    Raises:
        PemInvalid: If it cannot be read, or holds a private key that is encrypted.
    """
    content = read_pem(path)
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in content or b"Proc-Type: 4,ENCRYPTED" in content:
        raise PemInvalid(
            f"{path}: the private key is encrypted, and nobody is there to type its password",
            hint=f"openssl pkey -in {path} -out site.key; chmod 600 site.key",
        )
    return tuple(match[1].decode() for match in _BEGIN.finditer(content))


_BEGIN = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----", re.MULTILINE)
