"""Files of the tokens by which an edge knows who may ask (`authorization = "edge"`): digests, never the tokens."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path


def add_client_token(file: Path, name: str) -> str:
    """Make a token and write its SHA-256 to a file, behind what is there.

    The secret has 256 random bits, so that a plain hash is enough: there is nothing to guess.

    Args:
        file: Made where there is none.
        name: What it is for; a comment for people.

    Returns:
        The token, which is kept nowhere.

    Raises:
        ConfigInvalid: If the name is none, or the file cannot be written.
    """
    if not name.strip() or not name.isprintable() or "#" in name:
        raise ConfigInvalid(f'"{name}" says nothing in a line', hint="for instance: shop", path=("NAME",))
    token = f"bdg_{secrets.token_urlsafe(32)}"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as written:
            held = written.read()
            between = "\n" if held and not held.endswith("\n") else ""
            written.write(f"{between}{hashlib.sha256(token.encode()).hexdigest()} {name.strip()}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{file}: {error}", path=("FILE",)) from None
    return token
