"""What a model written in Python has to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

Batch: TypeAlias = Mapping[str, Any]
"""NumPy arrays by the names of inputs or outputs, with the axis of the rows before those that are declared."""


class Runner(Protocol):
    """A model in a few lines of Python; one object of it lives in a process of its own.

    Only `inputs`, `outputs` and `predict` have to be written. A tensor is declared as ``"float32[30]"``: the type of
    its elements and the axes of a row, ``?`` for one that is free; the axis of the rows is not written.

    Example:
        >>> class Sum(Runner):
        ...     inputs = {"features": "float32[3]"}
        ...     outputs = {"sum": "float32[]"}
        ...
        ...     def predict(self, batch):
        ...         return {"sum": batch["features"].sum(axis=1)}

    Attributes:
        inputs: What a row has, by name.
        outputs: What a prediction has, by name.
    """

    inputs: ClassVar[Mapping[str, str]]
    outputs: ClassVar[Mapping[str, str]]

    def load(self, path: str) -> None:
        """Load what `path` names: a file, a folder, or nothing if it is empty. Called once, before anything else."""

    def warm(self) -> None:
        """Do what would make the first prediction slow. Called once, when it is loaded."""

    def predict(self, batch: Batch) -> Batch:
        """Compute the outputs of all rows of `batch`.

        Args:
            batch: Read-only arrays in memory that is shared with the edge. They hold what they do until this returns;
                what is to be kept is copied.

        Returns:
            An array for each output, as declared. Where there is one output it may be given as it is.
        """
        ...

    def close(self) -> None:
        """Let go of what does not go with the process, which is ended soon, whether this has returned or not."""
