"""Priority: where root measures, what is measured and what asks go before whatever else the machine has to do.

Without that a compiler on the same core is noise: it takes turns away, and leaves the processor's caches cold.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NICE = -15


def is_raised() -> bool:
    """Whether this process may raise priorities."""
    return os.geteuid() == 0


def niced(command: list[str]) -> list[str]:
    """Return the command that runs `command` before others; its process id stays that of the program itself."""
    return ["nice", f"--adjustment={_NICE}", *command] if is_raised() else command


def raise_own() -> None:
    """Let this process go before others, with what it starts from now on: where it is part of what is measured."""
    if is_raised():
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        raise_session(os.getpid())


def raise_session(pid: int) -> None:
    """Let the session of a process go before others.

    Where the kernel shares time between sessions first (sched(7), autogroups), being nice counts only among its own.
    """
    if is_raised():
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(_NICE))
