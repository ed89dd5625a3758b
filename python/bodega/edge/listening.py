"""Explains why an edge could not listen: which address, who holds it, what to do."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.edge.address_owner import find_owner, free_neighbor
from bodega.errors import AddressInUse, AddressInvalid, BodegaError, ConfigInvalid, EdgeError, SnapshotInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence


def explain_start_error(
    error: Exception, listen: Sequence[str], listen_tls: Sequence[str], admin: str | None
) -> BodegaError:
    """Turn what the native core or the system said into an error a person can act upon.

    Args:
        error: What was raised while starting.
        listen: The addresses that were to be listened on.
        listen_tls: Those for TLS.
        admin: The address of the admin listener, if any.
    """
    if isinstance(error, ConfigInvalid | SnapshotInvalid):
        return error
    named = [("--listen", address) for address in listen] + [("--listen-tls", address) for address in listen_tls]
    for option, address in [*named, *([("--admin", admin)] if admin else [])]:
        found = _probe(address)
        if found == errno.EADDRINUSE:
            return _in_use(address, option)
        if found in (errno.EACCES, errno.EPERM):
            return AddressInvalid(
                f"{address}: listening there is not permitted", address=address, hint=_permission(address)
            )
        if found == errno.EADDRNOTAVAIL:
            return AddressInvalid(
                f"{address}: this machine does not have that address",
                address=address,
                hint="`ip address` lists what it has",
            )
        if found is not None:
            return AddressInvalid(f"{address}: {os.strerror(found)}", address=address)
    return error if isinstance(error, BodegaError) else EdgeError(f"the edge could not start: {error}")


def _in_use(address: str, option: str) -> AddressInUse:
    owner = find_owner(address)
    what = f"{address} is taken" + (f" by {owner}" if owner else "")
    if address.startswith("unix:"):
        return AddressInUse(what, address=address, owner=owner, hint=f"use another path with `{option}`")
    neighbor = free_neighbor(address)
    hint = f"use `{option} {neighbor}` or `:0`" if neighbor else f"use `{option} :0` for a free port"
    return AddressInUse(what, address=address, owner=owner, hint=hint)


def _probe(address: str) -> int | None:
    """Try to bind, and return the number of the error, or None if it would go."""
    if address.startswith("unix:"):
        return _probe_unix(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    if port == "0":
        return None
    bare = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _errno_of(probe, (bare, int(port)))


def _probe_unix(path: str) -> int | None:
    if Path(path).exists():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                return None  # Left behind by a process that died; the native core replaces it.
            except OSError:
                return errno.EADDRINUSE
            return errno.EADDRINUSE
    folder = Path(path).parent
    if not folder.is_dir():
        return errno.ENOENT
    return None if os.access(folder, os.W_OK) else errno.EACCES


def _errno_of(probe: socket.socket, address: tuple[str, int]) -> int | None:
    try:
        probe.bind(address)
        probe.listen(1)
    except OSError as error:
        return error.errno
    return None


def _permission(address: str) -> str:
    port = address.rpartition(":")[2]
    if not address.startswith("unix:") and port.isdecimal() and int(port) < 1024:
        return (
            "ports below 1024 need a right: use a port from 1024 on, systemd socket activation, "
            "or `setcap cap_net_bind_service=+ep` on the interpreter"
        )
    return "choose a path that this user may write to"
