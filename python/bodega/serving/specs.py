"""How a tensor is declared: ``"float32[30]"``."""

from __future__ import annotations

import re
from dataclasses import dataclass

ELEMENTS = (
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "string",
    "float16",
    "bfloat16",
)
"""The types of elements, at the places by which the native core knows them (`bodega-inference`, `element.rs`)."""

_WRITTEN = re.compile(r"\s*([a-z0-9]+)\s*(?:\[([^\]]*)\])?\s*")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a row.

    Example:
        >>> TensorSpec.parse("float32[30, ?]").axes
        (30, None)

    Attributes:
        element: The type of its elements, as NumPy calls it; ``string`` for texts.
        axes: Of a row; None for one that is free.
    """

    element: str
    axes: tuple[int | None, ...]

    @classmethod
    def parse(cls, written: object) -> TensorSpec:
        """Read what a runner declares.

        Raises:
            ValueError: If it declares nothing that there is.
        """
        found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
        if found is None:
            raise ValueError(f'{written!r} declares no tensor: write for instance "float32[30]"')
        element, axes = found[1], [axis.strip() for axis in (found[2] or "").split(",") if axis.strip()]
        # NumPy has no bfloat16: it is one of ONNX's alone.
        declared = [each for each in ELEMENTS if each != "bfloat16"]
        if element not in declared:
            raise ValueError(f"{written!r}: there is no type {element!r}: there are {', '.join(declared)}")
        for axis in axes:
            if axis != "?" and not (axis.isascii() and axis.isdigit() and int(axis) < 2**32):
                raise ValueError(f'{written!r}: {axis!r} is no length of an axis: write a number, or "?"')
        return cls(element, tuple(None if axis == "?" else int(axis) for axis in axes))

    def takes(self, axes: tuple[int, ...]) -> bool:
        """Whether a row may have these axes."""
        return len(axes) == len(self.axes) and all(
            declared is None or declared == given for declared, given in zip(self.axes, axes, strict=True)
        )

    def __str__(self) -> str:
        """Write it as it is declared."""
        return described(self.element, ["?" if axis is None else axis for axis in self.axes])


def described(element: str, axes: object) -> str:
    """Write a type and axes: ``float32[2, 30]``."""
    return f"{element}[{', '.join(map(str, axes))}]" if isinstance(axes, (list, tuple)) else element
