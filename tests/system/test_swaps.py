"""A short version of `python -m tests.system.swaps`, with the same checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.system.swaps.swapping import Plan, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    # Blocks below 32 MiB are among those that the system's allocator may keep one of, now and then.
    "plan",
    [Plan("40 MB", 40_000_000, 10), Plan("1 MB", 1_000_000, 60)],
    ids=lambda plan: plan.name,
)
def test_memory_stays_and_every_answer_is_right(plan: Plan, tmp_path: Path) -> None:
    outcome = run(plan, tmp_path)
    assert outcome.problems() == [], outcome.as_json()
