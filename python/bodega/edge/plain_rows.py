"""What a caller gives as a row, as lists, mappings, numbers and texts: what JSON can say, and NaN and infinities."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from typing import Any

from bodega.errors import PredictionRefused

FIELD = "features"
_MAX_BITS, _MAX_DIGITS = 1_024, 40


def plain(features: Any) -> Any:
    """Make lists, mappings and numbers of arrays, generators, decimals and their like.

    Raises:
        PredictionRefused: If something in it is none of these; it names the element.
    """
    try:
        return _plain(features)
    except PredictionRefused as error:
        raise refused(error.what, FIELD + error.field) from None


def is_finite(row: Any) -> bool:
    """Say whether JSON has all numbers of a plain row: not NaN and the infinities."""
    if isinstance(row, list):
        return all(map(is_finite, row))
    if isinstance(row, dict):
        return all(map(is_finite, row.values()))
    return not isinstance(row, float) or math.isfinite(row)


def refused(what: str, field: str, *, expected: str = "", given: str = "") -> PredictionRefused:
    """Return the refusal of a part of the input, in the form of the edge's."""
    return PredictionRefused(f"{field}: {what}", status=400, field=field, expected=expected, given=given)


def _plain(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise PredictionRefused(f"a whole number of {value.bit_length()} bits is more than a double holds", status=400)
    if value is None or isinstance(value, str | int | float):
        # Some of NumPy's are subclasses.
        item = getattr(value, "item", None)
        return value if item is None else item()
    if isinstance(value, Mapping):
        return {str(name): _within(each, f".{name}") for name, each in value.items()}
    if hasattr(value, "tolist"):
        return _of_array(value)
    if hasattr(value, "__array__"):
        return _of_array(value.__array__())
    if isinstance(value, numbers.Real | Decimal):
        return _number(value)
    if isinstance(value, Iterable) and not isinstance(value, Set):
        return [_within(each, f"[{at}]") for at, each in enumerate(value)]
    raise PredictionRefused(f"a {type(value).__name__} is no number, text, sequence or mapping", status=400)


def _of_array(array: Any) -> Any:
    kind = getattr(getattr(array, "dtype", None), "kind", "")
    listed = array.tolist()
    if kind in ("b", "i", "u", "U") or (kind == "f" and array.dtype.itemsize <= 8):
        return listed
    if type(listed) is type(array):
        # A number that Python has no type for.
        return _number(array)
    return _plain(listed)


def _number(value: Any) -> int | float:
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _MAX_DIGITS and value == int(value):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise PredictionRefused(f"a {type(value).__name__} is no number", status=400) from None
    if math.isinf(number) and abs(value) != math.inf:
        raise PredictionRefused(f"{value} is more than a double holds", status=400)
    return number


def _within(value: Any, step: str) -> Any:
    try:
        return _plain(value)
    except PredictionRefused as error:
        raise PredictionRefused(error.what, status=400, field=step + error.field) from None
