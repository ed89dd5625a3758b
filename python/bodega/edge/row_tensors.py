"""Plain rows as the tensors that a model takes, and the tensors it gave as predictions.

In the form of KServe's Open Inference Protocol: what holds NaN or infinities as bytes, everything else as JSON.
"""

from __future__ import annotations

import contextlib
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bodega.edge.plain_rows import is_finite, refused

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATATYPES = {"float16": "FP16", "bfloat16": "BF16", "float32": "FP32", "float64": "FP64", "bool": "BOOL"}
_CODES = {"float16": "e", "float32": "f", "float64": "d"}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a model.

    Attributes:
        name: What it is called.
        element: The type of its elements: ``"float32"``.
        row: The axes of a row; None for one that is free.
        has_axis: Whether the axis of the rows stands before them.
    """

    name: str
    element: str
    row: tuple[int | None, ...]
    has_axis: bool

    def __str__(self) -> str:
        """Write it as refusals do: ``float32[2]``."""
        return _described(self.element, ["?" if axis is None else axis for axis in self.row])

    @property
    def datatype(self) -> str:
        """The type by its name in the protocol."""
        return _DATATYPES.get(self.element) or ("BYTES" if self.element == "string" else self.element.upper())


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input of one row.

    Attributes:
        port: Which input.
        shape: The axes of the row.
        values: The elements.
        data: Its bytes, if not all of them are numbers of JSON.
    """

    port: Port
    shape: tuple[int, ...]
    values: list[Any]
    data: bytes | None


def tensors(row: Any, place: str, inputs: Sequence[Port], ignored: Sequence[str]) -> tuple[Tensor, ...]:
    """Take a plain row apart.

    Args:
        row: The row.
        place: Where it stands, for refusals: ``"features[3]"``.
        inputs: The model's inputs.
        ignored: Other members that a row may have.

    Raises:
        PredictionRefused: If it is no row of this model's.
    """
    if not isinstance(row, dict):
        if len(inputs) > 1:
            names = ", ".join(f"`{port.name}`" for port in inputs)
            raise refused(f"expected a mapping with {names}", place)
        return (_tensor(row, place, inputs[0]),)
    for name in row.keys() - {port.name for port in inputs} - set(ignored):
        raise refused("the model has no such input", f"{place}.{name}")
    for port in inputs:
        if port.name not in row:
            raise refused(f"is missing: expected {port}", f"{place}.{port.name}")
    return tuple(_tensor(row[port.name], f"{place}.{port.name}", port) for port in inputs)


def nested(values: Sequence[Any], port: Port, axes: Sequence[int]) -> Any:
    """Make the prediction of the flat elements of an output: lists by its axes, or its only element."""
    if not axes or (list(axes) == [1] and port.row == (1,)):
        return values[0]
    if len(axes) == 1:
        return list(values)
    n_inner = math.prod(axes[1:])
    return [nested(values[at * n_inner : (at + 1) * n_inner], port, axes[1:]) for at in range(axes[0])]


def _tensor(value: Any, place: str, port: Port) -> Tensor:
    shape, values = _flat(value, place)
    fits = len(shape) == len(port.row) and all(
        axis is None or axis == given for axis, given in zip(port.row, shape, strict=True)
    )
    if not fits:
        raise _mismatch(place, str(port), _described(port.element, shape))
    return Tensor(port, shape, values, None if is_finite(values) else _bytes(port, shape, values, place))


def _flat(value: Any, place: str) -> tuple[tuple[int, ...], list[Any]]:
    if isinstance(value, dict):
        raise _mismatch(place, "an array", "a mapping")
    if not isinstance(value, list):
        return (), [value]
    parts = [_flat(each, f"{place}[{at}]") for at, each in enumerate(value)]
    shapes = dict.fromkeys(shape for shape, _ in parts)
    if len(shapes) > 1:
        first, other = list(shapes)[:2]
        raise refused(f"has parts of several shapes: {list(first)} and {list(other)}", place)
    inner = next(iter(shapes), ())
    return (len(parts), *inner), [each for _, values in parts for each in values]


def _bytes(port: Port, shape: Sequence[int], values: Sequence[Any], place: str) -> bytes:
    if port.element in _CODES and set(map(type, values)) <= {int, float}:
        with contextlib.suppress(OverflowError, struct.error):
            return struct.pack(f"<{len(values)}{_CODES[port.element]}", *values)
    packed = []
    for at, each in enumerate(values):
        try:
            packed.append(_packed(port.element, each))
        except (TypeError, OverflowError, struct.error):
            raise _mismatch(place + _path(at, shape), port.element, _written(each)) from None
    return b"".join(packed)


def _packed(element: str, value: Any) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if element == "bfloat16":
        return _as_bfloat16(value)
    if element in _CODES:
        return struct.pack(f"<{_CODES[element]}", value)
    if math.isfinite(value):
        # It is another one that has no place here.
        return b""
    raise TypeError


def _as_bfloat16(value: float) -> bytes:
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    if math.isfinite(value):
        # Of the two floats near the number the odd one, so that it is rounded once, as by the edge.
        (near,) = struct.unpack("<f", struct.pack("<I", bits))
        if near != value and not bits & 1:
            bits += 1 if abs(near) < abs(value) else -1
        # To the nearest, and to the even one of two.
        bits += 0x7FFF + (bits >> 16 & 1)
        if bits & 0x7F800000 == 0x7F800000:
            raise OverflowError
    return struct.pack("<H", bits >> 16)


def _path(at: int, shape: Sequence[int]) -> str:
    steps = []
    for axis in reversed(shape):
        at, step = divmod(at, axis)
        steps.append(f"[{step}]")
    return "".join(reversed(steps))


def _mismatch(place: str, expected: str, given: str) -> Exception:
    return refused(f"expected {expected}, got {given}", place, expected=expected, given=given)


def _written(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    names = {str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), f"{value}")


def _described(element: str, axes: Sequence[object]) -> str:
    return f"{element}[{', '.join(map(str, axes))}]"
