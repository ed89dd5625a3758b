"""Who holds an address: read from ``/proc``, for an error that says so.

Everything here is a best effort: what cannot be read is left out, and nothing raises.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def find_owner(address: str) -> str | None:
    """Say which process listens on an address.

    Args:
        address: ``127.0.0.1:8080``, ``[::1]:8080`` or ``unix:/path``.

    Returns:
        ``"nginx (pid 812)"``, or None where it cannot be found out (another user's process, for instance).
    """
    try:
        inodes = _unix_inodes(address) if address.startswith("unix:") else _tcp_inodes(address)
        return _process_of(inodes) if inodes else None
    except (OSError, ValueError):
        return None


def free_neighbor(address: str) -> str | None:
    """Return the same host with the next port nobody listens on, or None where there is none within 20."""
    host, _, port = address.rpartition(":")
    for candidate in range(int(port) + 1, min(int(port) + 21, 65_536)):
        if is_free(f"{host}:{candidate}"):
            return f"{host}:{candidate}"
    return None


def is_free(address: str) -> bool:
    """Whether this process could listen on ``host:port`` now."""
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bare, int(port)))
        except OSError:
            return False
        return True


def _tcp_inodes(address: str) -> set[str]:
    host, _, port = address.rpartition(":")
    wanted = ipaddress.ip_address(host.strip("[]"))
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in _lines(_PROC / "net" / table)[1:]:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            held_host, _, held_port = local.partition(":")
            held = _address(held_host)
            if state == _LISTENING and int(held_port, 16) == int(port) and _overlap(wanted, held):
                inodes.add(inode)
    return inodes


def _address(hexadecimal: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # The kernel writes words of 32 bits in the byte order of the machine.
    words = [bytes.fromhex(hexadecimal[start : start + 8]) for start in range(0, len(hexadecimal), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return ipaddress.ip_address(packed)


def _overlap(
    wanted: ipaddress.IPv4Address | ipaddress.IPv6Address, held: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> bool:
    return wanted == held or wanted.is_unspecified or held.is_unspecified


def _unix_inodes(address: str) -> set[str]:
    path = address.removeprefix("unix:")
    fields = (line.split() for line in _lines(_PROC / "net" / "unix")[1:])
    return {each[6] for each in fields if len(each) > 7 and each[7] == path}


def _process_of(inodes: set[str]) -> str | None:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in sorted((each for each in _PROC.iterdir() if each.name.isdecimal()), key=lambda each: int(each.name)):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in wanted:
                        return f"{_name(process)} (pid {process.name})"
    return None


def _name(process: Path) -> str:
    arguments = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    # An interpreter's own name says nothing about what it runs.
    if any(Path(each).name == "bodega" for each in arguments[:4]):
        return "bodega"
    return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return [""]
