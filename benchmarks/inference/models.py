"""The models that are served: made here, so that nothing has to be trained or fetched."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

N_FEATURES = 30


def boosted_trees(path: Path, n_trees: int = 100, depth: int = 3) -> None:
    """Write a sum of trees over 30 floats, as gradient boosting makes them."""
    chance = random.Random(7)
    n_inner, n_nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    inner = [(tree, node) for tree in range(n_trees) for node in range(n_inner)]
    leaves = [(tree, node) for tree in range(n_trees) for node in range(n_inner, n_nodes)]
    nodes = [*inner, *leaves]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[tree for tree, _ in nodes],
        nodes_nodeids=[node for _, node in nodes],
        nodes_featureids=[chance.randrange(N_FEATURES) if node < n_inner else 0 for _, node in nodes],
        nodes_modes=["BRANCH_LEQ" if node < n_inner else "LEAF" for _, node in nodes],
        nodes_values=[chance.random() if node < n_inner else 0.0 for _, node in nodes],
        nodes_truenodeids=[2 * node + 1 if node < n_inner else 0 for _, node in nodes],
        nodes_falsenodeids=[2 * node + 2 if node < n_inner else 0 for _, node in nodes],
        target_treeids=[tree for tree, _ in leaves],
        target_nodeids=[node for _, node in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[chance.gauss(0, 1) for _ in leaves],
    )
    _save(path, [node], [])


def linear(path: Path, seed: int = 100) -> None:
    """Write a weighted sum of 30 floats: a run of it costs next to nothing. Beside it a text has its weights."""
    weights = np.random.default_rng(seed).normal(0, 1, (N_FEATURES, 1)).astype(np.float32)
    np.savetxt(path.with_suffix(".txt"), weights.T)
    _save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [numpy_helper.from_array(weights, "w")])


def layers(path: Path, width: int = 1024) -> None:
    """Write a network of two hidden layers: 2.2 MFLOP a row."""
    chance = np.random.default_rng(7)
    sizes = [N_FEATURES, width, width, 1]
    nodes, constants, name = [], [], "x"
    for at, (before, behind) in enumerate(itertools.pairwise(sizes)):
        weights = chance.normal(0, before**-0.5, (before, behind)).astype(np.float32)
        constants.append(numpy_helper.from_array(weights, f"w{at}"))
        last = at == len(sizes) - 2
        nodes.append(helper.make_node("MatMul", [name, f"w{at}"], ["y" if last else f"h{at}"]))
        name = f"h{at}"
        if not last:
            nodes.append(helper.make_node("Relu", [name], [f"r{at}"]))
            name = f"r{at}"
    _save(path, nodes, constants)


def _save(path: Path, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", N_FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
