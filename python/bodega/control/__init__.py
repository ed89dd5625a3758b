"""The control process: everything that edges must agree on, by HTTP.

`state` is the fold over the journal, `service` the process without HTTP, `api` its HTTP, `running` its sockets.
"""

from __future__ import annotations

from bodega.control.running import ControlSettings, run_control

__all__ = ["ControlSettings", "run_control"]
