"""The native module: built by maturin with the profile `release` and installed into .venv with the package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tools.setup import stamps
from tools.setup.progress import ROOT, SetupFailed, run, step
from tools.setup.python import VENV

DIST = ROOT / "dist"
MODULE = ROOT / "python" / "bodega" / "_native" / "_core.abi3.so"

CARGO = {
    # Rust is found or installed by `rust.prepare`, which says so; maturin would do it silently.
    "MATURIN_NO_INSTALL_RUST": "1",
    # What maturin sets for itself. Set for every call of cargo, else each would build PyO3 anew for the other.
    "PYO3_BUILD_EXTENSION_MODULE": "1",
    "PYO3_PYTHON": str(VENV / "bin" / "python"),
}
"""Variables for every call of cargo and maturin, beside those of `rust.prepare`."""


def prepare(environment: Mapping[str, str]) -> None:
    """Build and install the module, unless nothing it is made of has changed.

    Args:
        environment: Variables under which cargo is run.
    """
    wanted = _digest()
    if stamps.is_done(VENV / ".native", wanted) and MODULE.is_file() and (VENV / "bin" / "bodega").is_file():
        return
    with step("native module, minutes the first time"):
        run(
            [VENV / "bin" / "maturin", "develop", "--release", *_locked()],
            log="native",
            environment={**environment, **CARGO, "VIRTUAL_ENV": str(VENV)},
        )
    stamps.mark_done(VENV / ".native", wanted)


def wheel(environment: Mapping[str, str]) -> Path:
    """Build the wheel into dist/, unless it is there and nothing has changed.

    Args:
        environment: Variables under which cargo is run.

    Returns:
        The one wheel in dist/.
    """
    wanted = stamps.digest([ROOT / "python"], _digest())
    built = sorted(DIST.glob("*.whl"))
    if len(built) == 1 and stamps.is_done(DIST / ".wheel", wanted):
        return built[0]
    for old in built:
        old.unlink()
    with step("wheel (profile release)"):
        run(
            [VENV / "bin" / "maturin", "build", "--release", "--out", DIST, *_locked()],
            log="wheel",
            environment={**environment, **CARGO},
        )
    built = sorted(DIST.glob("*.whl"))
    if len(built) != 1:
        raise SetupFailed(f"{len(built)} wheels in dist/ instead of one: {', '.join(path.name for path in built)}")
    stamps.mark_done(DIST / ".wheel", wanted)
    return built[0]


def _locked() -> list[str]:
    # On a machine that only checks, a lock file that would change is a mistake of the commit.
    return ["--locked"] if os.environ.get("CI") else []


def _digest() -> str:
    sources = [path for path in sorted((ROOT / "crates").rglob("src")) if path.is_dir()]
    manifests = sorted((ROOT / "crates").glob("*/Cargo.toml"))
    inputs = [*sources, *manifests, ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "pyproject.toml"]
    return stamps.digest(inputs, str(VENV))
