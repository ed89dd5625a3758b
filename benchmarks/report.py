"""What a question found, and the file of results that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine, priority
from benchmarks.figure import Figure
from benchmarks.setting import Setting


@dataclass(frozen=True, slots=True)
class Report:
    """What a question found.

    Attributes:
        figures: What is judged.
        measured: What the figures come from, by name of the measurement.
        method: How it was measured, beside what the setting says.
    """

    figures: Sequence[Figure]
    measured: Mapping[str, Any]
    method: Mapping[str, Any]


def record(question: str, setting: Setting, report: Report) -> dict[str, Any]:
    """Return everything about a run, for a file of results."""
    return {
        "question": question,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {subject.name: subject.version() for subject in setting.subjects},
        "method": {
            "figure": "CPU time (user and system) of the server's processes per request, median over rounds",
            "server_core": setting.cores.server,
            "load_core": setting.cores.load,
            "priority_raised": priority.is_raised(),
            "rounds": setting.n_rounds,
            "seconds_per_turn": setting.seconds,
            "long": setting.is_long,
            **report.method,
        },
        "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in report.figures],
        "measured": report.measured,
    }


def write(recorded: Mapping[str, Any], *, to_keep: bool) -> Path:
    """Write a file of results beside the question.

    Args:
        recorded: What `record` returned.
        to_keep: Whether the file is meant to be committed; others are ignored by git.
    """
    stamp = str(recorded["date"]).replace(":", "").replace("+0000", "Z")
    folder = Path(__file__).parent / str(recorded["question"]) / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{'' if to_keep else 'local-'}{stamp}.json"
    file.write_text(json.dumps(recorded, indent=1) + "\n")
    return file
