"""What is built before a measurement, as cargo's profile `bench` says (thin LTO), anew only when its sources changed.

bodega is installed as a wheel into .cache/bench-venv, beside the .venv that everything else uses; what it depends on is
taken from .venv. Outputs of cargo go to target/bench, so that they do not displace those of other recipes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.setup import native, rust, stamps
from tools.setup.progress import ROOT, SetupFailed, run, step
from tools.setup.python import VENV

from benchmarks.failure import MeasurementFailed
from benchmarks.progress import say

_TARGET = ROOT / "target" / "bench"
_CACHE = ROOT / ".cache"
_ENVIRONMENT = _CACHE / "bench-venv"
_WHEELS = _CACHE / "bench-wheel"

BODEGA = _ENVIRONMENT / "bin" / "bodega"
"""The command that `prepare_bodega` installs."""

LOAD_GENERATOR = _TARGET / "release" / "bodega-loadgen"
"""The program that `prepare_load_generator` builds."""


def prepare_load_generator() -> None:
    """Build the load generator.

    Raises:
        MeasurementFailed: If that is not possible; with what to do.
    """
    crate = ROOT / "crates" / "bodega-loadgen"
    wanted = stamps.digest([crate / "src", crate / "Cargo.toml", ROOT / "Cargo.toml"])
    stamp = _CACHE / "bench-loadgen"
    if stamps.is_done(stamp, wanted) and LOAD_GENERATOR.is_file():
        return
    command = ["cargo", "build", "--release", "--target-dir", str(_TARGET), "--package", crate.name]
    _run("the load generator (Rust)", "bench-loadgen", [command])
    stamps.mark_done(stamp, wanted)


def prepare_bodega() -> None:
    """Build bodega's wheel and install it.

    Raises:
        MeasurementFailed: If that is not possible; with what to do.
    """
    crates = ROOT / "crates"
    sources = [path for path in sorted(crates.rglob("src")) if path.is_dir() and "bodega-loadgen" not in path.parts]
    manifests = [*sorted(crates.glob("*/Cargo.toml")), ROOT / "Cargo.toml", ROOT / "Cargo.lock"]
    wanted = stamps.digest([*sources, *manifests, ROOT / "pyproject.toml", ROOT / "python"], str(_ENVIRONMENT))
    stamp = _ENVIRONMENT / ".bodega"
    if stamps.is_done(stamp, wanted) and BODEGA.is_file():
        return
    for old in _WHEELS.glob("*.whl"):
        old.unlink()
    python = str(VENV / "bin" / "python")
    _run(
        "bodega (profile bench; the first time takes a few minutes)",
        "bench-bodega",
        [
            [
                *(str(VENV / "bin" / "maturin"), "build", "--release"),
                *("--target-dir", str(_TARGET), "--out", str(_WHEELS)),
            ],
            [python, "-m", "venv", "--clear", "--without-pip", str(_ENVIRONMENT)],
        ],
    )
    _share_packages()
    wheel = str(next(_WHEELS.glob("*.whl")))
    pip = [python, "-m", "pip", "--python", str(_ENVIRONMENT / "bin" / "python")]
    _run("bodega in .cache/bench-venv", "bench-install", [[*pip, "install", "--no-index", "--no-deps", wheel]])
    stamps.mark_done(stamp, wanted)


def bench(crate: str, name: str) -> str:
    """Build a benchmark of a crate, run it, and return what it printed.

    Raises:
        MeasurementFailed: If that is not possible; with what it said.
    """
    say(f"{crate}: building and running {name} (the first time takes a few minutes)")
    command = ["cargo", "bench", "--target-dir", str(_TARGET), "--package", crate, "--bench", name]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **_environment()}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise MeasurementFailed(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _share_packages() -> None:
    # A path file: what is installed beside it comes first, so that bodega itself is never taken from .venv.
    (_site_packages(_ENVIRONMENT) / "shared.pth").write_text(f"{_site_packages(VENV)}\n")


def _site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))


def _run(what: str, log: str, commands: Sequence[Sequence[str]]) -> None:
    try:
        environment = _environment()
        # Standard output is for figures.
        with contextlib.redirect_stdout(sys.stderr), step(what):
            for command in commands:
                run(command, log=log, environment=environment)
    except SetupFailed as failure:
        raise MeasurementFailed(str(failure)) from failure


def _environment() -> Mapping[str, str]:
    # `cargo rustc`, which maturin calls, takes the name `bench` for "with a harness of benchmarks": the profile is
    # applied by its settings instead.
    profile = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["bench"]
    settings = {
        f"CARGO_PROFILE_RELEASE_{name.replace('-', '_').upper()}": str(value)
        for name, value in profile.items()
        if name != "inherits"
    }
    return {**rust.prepare(), **native.CARGO, **settings, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
