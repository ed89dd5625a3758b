"""Where the library of ONNX Runtime is, which the native core loads: in the wheel of the extra ``models``."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

_NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
"""Variables that the library reads when it is loaded.

From 1.31 on the packages on PyPI write a number for the machine into a file and call their maker before there is
anything to switch that off by; the second name is that of versions between.
"""


def onnxruntime_library() -> str | None:
    """Find the shared library of the package ``onnxruntime`` without importing it; None if that is not installed.

    Whoever loads it in this process, or in one that is started from it, does so without telemetry.
    """
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    for name in _NO_TELEMETRY:
        os.environ.setdefault(name, "1")
    folder = Path(spec.origin).parent / "capi"
    for pattern in ("libonnxruntime.so*", "libonnxruntime.*dylib"):
        found = sorted(folder.glob(pattern))
        if found:
            return str(found[0])
    return None
