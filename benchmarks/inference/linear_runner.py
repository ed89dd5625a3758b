"""The smallest model there is as a runner: one product of NumPy's. A worker of the edge imports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import bodega


class Linear(bodega.Runner):
    """A weighted sum of 30 floats, with the weights that its file holds."""

    inputs = {"x": "float32[30]"}  # noqa: RUF012
    outputs = {"y": "float32[1]"}  # noqa: RUF012

    def load(self, path: str) -> None:
        """Read the weights."""
        self.weights = np.loadtxt(path, dtype=np.float32, ndmin=2).T

    def predict(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Multiply."""
        return {"y": batch["x"] @ self.weights}
