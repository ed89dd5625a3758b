"""The compiled core: the request machine, the store and the sockets, built from the crates.

Only `edge`, `serving`, `snapshot` and `up` import this package (docs/decisions/0003), so that everything native is
found from four places. What it offers is written down in `_core.pyi`; nothing is decided here.
"""

from __future__ import annotations

import platform
import sys
import warnings

try:
    from bodega._native._core import (
        DemoOrigin,
        DemoRelay,
        DemoS3,
        NativeEdge,
        build_info,
        check_model,
        die_with_parent,
        explain_key,
        replay,
        serve_onnx,
        validate_snapshot,
        wrong_token_files,
    )
except ImportError as error:
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        message = (
            f"bodega runs on Linux on x86-64 and arm64, and this is {platform.system()} on {platform.machine()}: "
            "use a Linux machine, a virtual machine or a container"
        )
    else:
        message = (
            f"the native module of bodega cannot be loaded ({error}): "
            "install the wheel (pip install bodega), or build it in a checkout (make up)"
        )
    raise ImportError(message, name="bodega._native._core") from error

__all__ = [
    "DemoOrigin",
    "DemoRelay",
    "DemoS3",
    "NativeEdge",
    "build_info",
    "check_model",
    "die_with_parent",
    "explain_key",
    "replay",
    "serve_onnx",
    "validate_snapshot",
    "wrong_token_files",
]

if build_info()["profile"] == "debug":
    warnings.warn(
        "this is a debug build of bodega, several times slower than a release build: measure nothing with it (make up)",
        RuntimeWarning,
        stacklevel=2,
    )
