"""Plain rows as tensors, and tensors as predictions."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest

from bodega.edge.row_tensors import Port, nested, tensors
from bodega.errors import PredictionRefused

NAN = float("nan")


def port(element: str, *row: int | None) -> Port:
    return Port("x", element, row, has_axis=True)


@pytest.mark.parametrize("element", ["float16", "float32", "float64"])
def test_what_is_not_finite_is_packed_as_numpy_has_it(element: str) -> None:
    values = [1, 0.1, -math.inf, NAN]
    (tensor,) = tensors(values, "features", [port(element, None)], [])
    assert tensor.data == np.array(values, dtype=element).tobytes()
    (finite,) = tensors([1, 2.5], "features", [port(element, 2)], [])
    assert (finite.data, finite.values, finite.shape) == (None, [1, 2.5], (2,))


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    # 1 + 2^-8 lies between two, and goes to the even one; beyond it, up.
    values = [1.0, 1 + 2**-8, 1 + 2**-8 + 2**-16, math.inf]
    (tensor,) = tensors(values, "features", [port("bfloat16", 4)], [])
    assert struct.unpack("<4H", tensor.data or b"") == (0x3F80, 0x3F80, 0x3F81, 0x7F80)
    # So near to the middle that a float of 32 bits is the middle.
    values = [1 + 2**-8 + 2**-40, -(1 + 2**-8 + 2**-40), 1 + 3 * 2**-8 - 2**-40, math.inf]
    (tensor,) = tensors(values, "features", [port("bfloat16", 4)], [])
    assert struct.unpack("<4H", tensor.data or b"") == (0x3F81, 0xBF81, 0x3F81, 0x7F80)


@pytest.mark.parametrize(
    ("row", "declared", "words"),
    [
        ([1, NAN, 3], port("float32", 2), "features: expected float32[2], got float32[3]"),
        ([[1, 2], [NAN]], port("float32", None, 2), "features: has parts of several shapes: [2] and [1]"),
        ([[1, 2], [3, NAN]], port("int64", None, 2), "features[1][1]: expected int64, got NaN"),
        ([True, NAN], port("float64", 2), "features[0]: expected float64, got a boolean"),
        ([70_000, -math.inf], port("float16", 2), "features[0]: expected float16, got 70000"),
        ([3.4e38, NAN], port("bfloat16", 2), "features[0]: expected bfloat16, got 3.4e+38"),
        ([{"a": NAN}], port("float64", 1), "features[0]: expected an array, got a mapping"),
    ],
)
def test_what_does_not_fit_is_named(row: Any, declared: Port, words: str) -> None:
    with pytest.raises(PredictionRefused) as refused:
        tensors(row, "features", [declared], [])
    assert str(refused.value).startswith(words)
    assert (refused.value.status, refused.value.field) == (400, words.partition(":")[0])


@pytest.mark.parametrize(
    ("axes", "declared", "prediction"),
    [
        ([], port("float32"), 0),
        ([1], port("float32", 1), 0),
        ([1], port("float32", None), [0]),
        ([2, 3], port("float32", None, 3), [[0, 1, 2], [3, 4, 5]]),
        ([0, 3], port("float32", None, 3), []),
        ([2, 0], port("float32", 2, None), [[], []]),
        ([1, 2, 1], port("float32", 1, 2, 1), [[[0], [1]]]),
    ],
)
def test_a_prediction_has_the_form_that_predict_gives(axes: list[int], declared: Port, prediction: Any) -> None:
    assert nested(list(range(math.prod(axes))), declared, axes) == prediction
