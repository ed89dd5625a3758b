"""How a command that measures ends: its exit status, and what it says where it was stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

from benchmarks.failure import MeasurementFailed

_SHORT = 1
_INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""


def of(answer: Callable[[], bool]) -> int:
    """Let `answer` measure; SIGTERM and SIGHUP stop it as Ctrl-C does, so that it ends what it has started.

    Args:
        answer: Says whether every figure was reached.

    Returns:
        0 if every figure was reached, 1 if one is short or could not be measured, 130 if somebody stopped it.
    """
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    try:
        return 0 if answer() else _SHORT
    except MeasurementFailed as failure:
        print(f"the measurement stopped: {failure}", file=sys.stderr)
        return _SHORT
    except KeyboardInterrupt:
        print("stopped; every server that was started has ended", file=sys.stderr)
        return _INTERRUPTED


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
