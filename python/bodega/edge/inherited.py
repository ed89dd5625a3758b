"""Sockets that a forked process inherits from an edge, and must not keep.

As long as any process holds a listening socket, its port stays taken and clients connect to nobody; as long as any
holds an accepted connection, its client waits for an end that does not come.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


def close_inherited(addresses: Iterable[str]) -> None:
    """Close every descriptor of this process that is bound to one of the addresses: listeners and what they accepted.

    Args:
        addresses: ``http://127.0.0.1:8080``, ``unix:/path``.
    """
    names = {_name(address) for address in addresses}
    for descriptor in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        # Pipes, files, and the descriptor that read the folder itself are no sockets.
        with contextlib.suppress(OSError):
            found = socket.socket(fileno=descriptor)
            try:
                is_ours = _bound_to(found) in names
            finally:
                found.detach()
            if is_ours:
                os.close(descriptor)


def _bound_to(found: socket.socket) -> int | str | None:
    name = found.getsockname()
    if found.family in (socket.AF_INET, socket.AF_INET6):
        return int(name[1])
    return str(name) if found.family == socket.AF_UNIX and name else None


def _name(address: str) -> int | str | None:
    # By port alone: a listener on all addresses accepts connections on each of them.
    return address.removeprefix("unix:") if address.startswith("unix:") else urlsplit(address).port
