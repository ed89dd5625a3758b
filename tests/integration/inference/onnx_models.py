"""Real ONNX models, small enough that a test can say by hand what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Axes = list[int | str]


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: dict[str, tuple[int, Axes]],
    outputs: dict[str, tuple[int, Axes]],
    constants: Sequence[Any] = (),
) -> Path:
    """Write a model of opset 17; the axes of inputs and outputs are numbers, or names where they are free."""
    graph = helper.make_graph(
        list(nodes),
        path.stem,
        [helper.make_tensor_value_info(name, element, axes) for name, (element, axes) in inputs.items()],
        [helper.make_tensor_value_info(name, element, axes) for name, (element, axes) in outputs.items()],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def linear(path: Path, weights: Sequence[float], bias: float = 0.0) -> Path:
    """``float32[n, len(weights)]`` to ``float32[n, 1]``: the weighted sum."""
    n_features = len(weights)
    return save(
        path,
        [helper.make_node("MatMul", ["x", "w"], ["sum"]), helper.make_node("Add", ["sum", "b"], ["y"])],
        {"x": (TensorProto.FLOAT, ["n", n_features])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
        [
            helper.make_tensor("w", TensorProto.FLOAT, [n_features, 1], list(weights)),
            helper.make_tensor("b", TensorProto.FLOAT, [1], [bias]),
        ],
    )


def typed(path: Path) -> Path:
    """Inputs and outputs of many types: ``count`` and ``on`` and ``words``, each given back in some form."""
    return save(
        path,
        [
            helper.make_node("Add", ["count", "count"], ["twice"]),
            helper.make_node("Not", ["on"], ["off"]),
            helper.make_node("Identity", ["words"], ["said"]),
        ],
        {
            "count": (TensorProto.INT64, ["n", 2]),
            "on": (TensorProto.BOOL, ["n"]),
            "words": (TensorProto.STRING, ["n", "any"]),
        },
        {
            "twice": (TensorProto.INT64, ["n", 2]),
            "off": (TensorProto.BOOL, ["n"]),
            "said": (TensorProto.STRING, ["n", "any"]),
        },
    )


def one_row_at_a_time(path: Path) -> Path:
    """``float32[1, 3]`` to ``float32[1, 3]``: the axis before the row is fixed, so that no two rows go in one run."""
    return save(
        path,
        [helper.make_node("Neg", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, [1, 3])},
        {"y": (TensorProto.FLOAT, [1, 3])},
    )


def picky(path: Path) -> Path:
    """``int64[n, 1]`` to ``float32[n, 1]``: one of three; the model itself fails for what is none of 0 to 2."""
    return save(
        path,
        [helper.make_node("Gather", ["table", "at"], ["y"], axis=0)],
        {"at": (TensorProto.INT64, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", 1])},
        [helper.make_tensor("table", TensorProto.FLOAT, [3], [10.0, 20.0, 30.0])],
    )


def slow(path: Path, size: int = 512, n_rounds: int = 200) -> Path:
    """``float32[n, 1]`` to ``float32[n, 1]``: the input, after a while of multiplying matrices that change nothing."""
    nodes = [helper.make_node("Mul", ["x", "zero"], ["begin"]), helper.make_node("Add", ["m", "begin"], ["m0"])]
    nodes += [helper.make_node("MatMul", [f"m{at}", "m"], [f"m{at + 1}"]) for at in range(n_rounds)]
    nodes += [
        helper.make_node("ReduceSum", [f"m{n_rounds}"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    return save(
        path,
        nodes,
        {"x": (TensorProto.FLOAT, [1, 1])},
        {"y": (TensorProto.FLOAT, [1, 1])},
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("m", TensorProto.FLOAT, [size, size], [0.0] * (size * size)),
        ],
    )


def doubles(path: Path, n_features: int) -> Path:
    """``float64[n, n_features]``: what is asked is what is answered."""
    same: tuple[int, Axes] = (TensorProto.DOUBLE, ["n", n_features])
    return save(path, [helper.make_node("Identity", ["x"], ["y"])], {"x": same}, {"y": same})


def embedding(path: Path, n_embedded: int = 768) -> Path:
    """``int64[n, 1]`` to ``float32[n, n_embedded]``: many numbers for one."""
    return save(
        path,
        [
            helper.make_node("Cast", ["id"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "w"], ["y"]),
        ],
        {"id": (TensorProto.INT64, ["n", 1])},
        {"y": (TensorProto.FLOAT, ["n", n_embedded])},
        [helper.make_tensor("w", TensorProto.FLOAT, [n_embedded], [0.1234567 * at for at in range(n_embedded)])],
    )


def total(path: Path) -> Path:
    """``float32[1, 3]`` to ``float32[]``: the sum, without an axis that the input has."""
    return save(
        path,
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        {"x": (TensorProto.FLOAT, [1, 3])},
        {"y": (TensorProto.FLOAT, [])},
    )


def nonzero(path: Path) -> Path:
    """``float32[1, 3]`` to ``int64[2, any]``: where it is not zero; how much that is differs by row."""
    return save(
        path,
        [helper.make_node("NonZero", ["x"], ["y"])],
        {"x": (TensorProto.FLOAT, [1, 3])},
        {"y": (TensorProto.INT64, [2, "any"])},
    )
