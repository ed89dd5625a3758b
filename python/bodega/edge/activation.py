"""systemd: listening sockets that it opened, and the message that the service is ready.

`sd_listen_fds(3)` and `sd_notify(3)` without their library.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

_FIRST = 3


def take_activated_fds(environment: MutableMapping[str, str]) -> list[int]:
    """Return the sockets that systemd opened for this process, and forget the variables that say so.

    Args:
        environment: Where ``LISTEN_PID`` and ``LISTEN_FDS`` stand; both are removed, so that no child believes them.
    """
    pid, count = environment.get("LISTEN_PID", ""), environment.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)
    return list(range(_FIRST, _FIRST + int(count)))


def notify(message: str, environment: MutableMapping[str, str]) -> None:
    """Tell systemd something, ``READY=1`` or ``STOPPING=1``, where it asked to be told; else do nothing."""
    target = environment.get("NOTIFY_SOCKET", "")
    if not target.startswith(("/", "@")):
        return
    address = "\0" + target[1:] if target.startswith("@") else target
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), address)
