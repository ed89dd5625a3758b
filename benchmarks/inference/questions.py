"""How a server is asked for a prediction, and how its answer is read.

A row is thirty floats. The first two hold the key's twelve digits, six each, so that rows differ as floats of 32 bits
do; the others are the same in all rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.inference.models import N_FEATURES

_REST = [round(at / 31, 3) for at in range(2, N_FEATURES)]
_ROW = ", ".join(["0.######", "0.######", *map(str, _REST)])


@dataclass(frozen=True, slots=True)
class Question:
    """How a server is asked.

    Attributes:
        path: Where.
        template: The body; each `#` stands for a digit of the key.
        read: Takes the prediction out of what was answered.
    """

    path: str
    template: str
    read: Callable[[Any], float]

    def at(self, path: str) -> Question:
        """Return the same at another path."""
        return replace(self, path=path)

    def body(self, key: int) -> bytes:
        """Return the body for a key."""
        digits = iter(f"{key:012d}")
        return "".join(next(digits) if each == "#" else each for each in self.template).encode()

    def write(self, folder: Path) -> Path:
        """Write the template where the load reads it."""
        file = folder / "question.json"
        file.write_text(self.template)
        return file


def row(key: int) -> list[float]:
    """Return the row of a key."""
    found: list[float] = json.loads(PLAIN.body(key))["features"]
    return found


PLAIN = Question("/predict", f'{{"features": [{_ROW}]}}', lambda said: float(said["prediction"]))
"""`{"features": [...]}`."""

BATCH_OF_ONE = Question("/predict", f'{{"features": [[{_ROW}]]}}', lambda said: float(said[0]))
"""`{"features": [[...]]}`, answered by a list."""

TENSOR = Question(
    "/v2/models/model/infer",
    f'{{"inputs": [{{"name": "x", "shape": [1, {N_FEATURES}], "datatype": "FP32", "data": [{_ROW}]}}]}}',
    lambda said: float(said["outputs"][0]["data"][0]),
)
"""The Open Inference Protocol."""
