"""What `python -m benchmarks.inference.workers` reads and reckons."""

from __future__ import annotations

from benchmarks.inference.workers import Cost, Trial, medians, trials

LOG = """\
listening on http://127.0.0.1:18080
model edge: its trial took 0.09 s and 38 MiB
model edge: eaa54723828d in place of 1e69ac71386d
model edge: its trial took 1.25 s and 1024 MiB, 3 times
model other: its trial took a wrong turn
"""


def test_trials_that_the_log_tells_of_together_count_each() -> None:
    assert trials(LOG) == [Trial(0.09, 38), *[Trial(1.25, 1024)] * 3]


def test_one_slow_turn_does_not_move_the_figures() -> None:
    turns = [Cost(10.0, 20.0), Cost(11.0, 21.0), Cost(900.0, 2_100.0)]
    assert medians(turns) == Cost(11.0, 21.0)
    assert medians(turns).microseconds == 32.0
