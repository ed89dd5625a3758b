"""Ports for servers that cannot be told to take any free one."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now. Another process may take it before it is used: prefer port 0.

    Args:
        host: The address it is free at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
