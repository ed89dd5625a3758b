"""systemd: listening sockets that it opened. `sd_listen_fds(3)` without its library."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from bodega.edge.listeners import Listeners

_FIRST = 3


def take_activated(environment: MutableMapping[str, str]) -> Listeners:
    """Return the sockets that systemd opened for this process, and forget the variables that say so.

    A socket unit whose ``FileDescriptorName`` is ``https`` is for TLS, any other for HTTP.

    Args:
        environment: Where ``LISTEN_PID``, ``LISTEN_FDS`` and ``LISTEN_FDNAMES`` stand; they are removed, so that no
            child believes them.
    """
    pid, count = environment.get("LISTEN_PID", ""), environment.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal():
        return Listeners()
    names = dict(enumerate(environment.get("LISTEN_FDNAMES", "").split(":")))
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)
    tls = [index for index in range(int(count)) if names.get(index) == "https"]
    plain = [index for index in range(int(count)) if index not in tls]
    return Listeners(tuple(_FIRST + index for index in plain), tuple(_FIRST + index for index in tls))
