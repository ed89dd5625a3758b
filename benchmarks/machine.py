"""What the machine is, as far as it matters for figures, and whether something else is running on it."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path
from typing import Any

from benchmarks import open_files
from benchmarks.exchange import LOOPBACK

_BUSY = 0.5


def describe() -> dict[str, Any]:
    """Return processor, cores, memory, kernel and system."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count(),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "system": _field(Path("/etc/os-release"), "PRETTY_NAME", separator="=").strip('"'),
        "open_files": open_files.limit(),
        "congestion_control": _congestion_control(),
        "python": platform.python_version(),
        "load_average_at_the_end": os.getloadavg()[0],
    }


def business() -> str | None:
    """Return a warning if something else is running; figures taken then are mostly noise."""
    load = os.getloadavg()[0]
    if load < _BUSY:
        return None
    return f"this machine was busy in the last minute (load average {load:.1f}): CPU times come out higher, and uneven"


def _congestion_control() -> str:
    # Of a connection over loopback: a route may say otherwise than the system.
    with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname()) as connection:
        name = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()


def _field(file: Path, name: str, *, separator: str = ":") -> str:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return "unknown"
    for line in lines:
        found, _, value = line.partition(separator)
        if found.strip() == name:
            return value.strip()
    return "unknown"
