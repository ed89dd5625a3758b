"""What a service tells systemd: `sd_notify(3)` without its library."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping


def notify(message: str, environment: Mapping[str, str]) -> None:
    """Tell systemd something, ``READY=1`` or ``STOPPING=1``, where it asked to be told; else do nothing."""
    target = environment.get("NOTIFY_SOCKET", "")
    if not target.startswith(("/", "@")):
        return
    address = "\0" + target[1:] if target.startswith("@") else target
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), address)
