"""Where the library of ONNX Runtime is, which the native core loads: in the wheel of the extra ``models``."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def onnxruntime_library() -> str | None:
    """Find the shared library of the package ``onnxruntime`` without importing it; None if that is not installed."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "capi"
    for pattern in ("libonnxruntime.so*", "libonnxruntime.*dylib"):
        found = sorted(folder.glob(pattern))
        if found:
            return str(found[0])
    return None
