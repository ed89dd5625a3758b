"""How often things are sent and said, so that a fleet of any size costs a bounded share of one core. Pure."""

from __future__ import annotations

HEARTBEAT_SECONDS = 1.0
"""How often a stream says that it is there, and how often an edge does unless it is told otherwise."""

_SENDING_SHARE = 0.25
_MOST_PAUSE_SECONDS = 0.25
_HEARTBEATS_PER_SECOND = 1000
_ANSWERED_AT_ONCE = 100


class Pace:
    """When the next batch may be sent: after a quiet time at once, then so that sending takes a quarter of the time.

    What is appended during a pause goes together, once, to each follower.
    """

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self._free_at = 0.0

    def wait_seconds(self, now: float) -> float:
        """Return how long the next batch has to wait."""
        return max(0.0, self._free_at - now)

    def sent(self, now: float, cost_seconds: float) -> None:
        """A batch was sent, which took so much of the core's time."""
        self._free_at = now + min(_MOST_PAUSE_SECONDS, cost_seconds * (1 / _SENDING_SHARE - 1))


def heartbeat_seconds(n_edges: int) -> float:
    """Return how often each of so many edges should say that it is here: a thousand times a second in all."""
    return max(HEARTBEAT_SECONDS, n_edges / _HEARTBEATS_PER_SECOND)


def acknowledge_within_ms(n_edges: int) -> int:
    """Return how soon each of so many edges should say what it has applied; 0 is at once.

    A batch makes all of them speak. Beyond a hundred they do so spread over a time that grows with their number, at
    most until their next heartbeat.
    """
    if n_edges <= _ANSWERED_AT_ONCE:
        return 0
    return round(min(1000 * n_edges / _HEARTBEATS_PER_SECOND, 1000 * heartbeat_seconds(n_edges)))
