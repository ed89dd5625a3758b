"""Files with a secret."""

from __future__ import annotations

import os
from pathlib import Path


def write_secret(path: Path, secret: str) -> None:
    """Write a secret into a file that only its owner reads, in place of what was there.

    Raises:
        OSError: If that is not possible.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        # It may have been there before, for more to read.
        os.fchmod(file.fileno(), 0o600)
        file.write(f"{secret}\n")
