"""Models that Python runs: the protocol of a runner, and the program of the process that it runs in.

A worker is started by the edge's native core and speaks with it alone, over a socket and shared memory; what it does to
itself it does to nobody else. `bodega.serving.worker` is that program, which also runs ONNX models that are set to be
isolated, and tries those that are not before they are loaded into an edge.
"""

from __future__ import annotations

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from bodega.serving.runner import Batch, Runner
    from bodega.serving.specs import TensorSpec

__all__ = ["Batch", "Runner", "TensorSpec"]

_HOMES = {
    "Batch": "bodega.serving.runner",
    "Runner": "bodega.serving.runner",
    "TensorSpec": "bodega.serving.specs",
}


def __getattr__(name: str) -> object:
    """Load a name when it is first used: a worker that runs an ONNX model uses none, and starts the sooner."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(_importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
