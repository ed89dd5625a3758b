"""What a question is measured with: which servers, on which cores, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cores import Cores
from benchmarks.instances import Folders
from benchmarks.subjects import Subject


@dataclass(frozen=True, slots=True)
class Setting:
    """How to measure.

    Attributes:
        subjects: The servers, bodega first if it takes part.
        cores: Where servers and load run.
        folders: Where servers keep their files.
        n_rounds: How often each server's turn comes in each measurement.
        seconds: How long a turn takes.
        is_long: Whether to measure also what is only told, not judged.
    """

    subjects: Sequence[Subject]
    cores: Cores
    folders: Folders
    n_rounds: int
    seconds: float
    is_long: bool
