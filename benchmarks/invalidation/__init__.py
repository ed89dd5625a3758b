"""How soon a purge is everywhere, how many a fleet of 1,000 takes, how soon an edge that was away is level.

See README.md here for method, and for the test of a thousand cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import priority
from benchmarks.invalidation import catching_up, everywhere, restart, sustained
from benchmarks.report import Report
from benchmarks.setting import Setting

PARTS = {
    "everywhere": everywhere,
    "sustained": sustained,
    "catching_up": catching_up,
    "restart": restart,
}


def measure(setting: Setting, parts: Sequence[str] = tuple(PARTS)) -> Report:
    """Measure all figures of this question, or those of some parts."""
    # The lines are relays in this process.
    priority.raise_own()
    measured = {part: PARTS[part].measure(setting) for part in parts}
    return Report(
        [figure for part in parts for figure in PARTS[part].figures(measured[part])],
        measured,
        method={
            "figure": "wall-clock time by the steady clock of one machine",
            "delays": "relays in user space, 5 to 150 ms one way, the same both ways",
            "light_followers": "speak the protocol, and apply nothing",
        },
    )
