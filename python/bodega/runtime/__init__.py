"""What the processes of a user leave on a machine, so that others of the same user find and may command them.

`folder` is where, with the sockets of edges; `control` has the records of control processes, `service` tells systemd,
`secret` writes what only its owner may read.
"""

from __future__ import annotations

from bodega.runtime.control import ControlRecord, control_records, recorded
from bodega.runtime.folder import admin_socket, handover_socket, running_sockets, runtime_folder
from bodega.runtime.secret import write_secret
from bodega.runtime.service import notify

__all__ = [
    "ControlRecord",
    "admin_socket",
    "control_records",
    "handover_socket",
    "notify",
    "recorded",
    "running_sockets",
    "runtime_folder",
    "write_secret",
]
