"""The virtual environment .venv with everything pinned in requirements/development.txt."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tools.setup import debian, stamps
from tools.setup.progress import ROOT, TOOLS, SetupFailed, run, step

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)


def prepare() -> None:
    """Make .venv and install the pinned packages, unless that has been done."""
    if sys.version_info < OLDEST:
        raise SetupFailed(
            f"Python {sys.version.split()[0]} is too old: 3.11 or later is needed (make PYTHON=python3.12)"
        )
    _make_environment(VENV, "venv")
    install(VENV, "development")


def install(environment: Path, pins: str) -> None:
    """Install what requirements/PINS.txt pins into an environment, unless that has been done.

    Args:
        environment: Folder of the virtual environment.
        pins: Stem of the file under requirements/.
    """
    path = ROOT / "requirements" / f"{pins}.txt"
    wanted = stamps.digest([path], sys.version, str(environment))
    stamp = environment / ".pins"
    if stamps.is_done(stamp, wanted):
        return
    with step(f"Python packages of {path.relative_to(ROOT)}"):
        run(
            [
                environment / "bin" / "python",
                *("-m", "pip", "install", "--require-hashes", "--no-input", "--progress-bar=off"),
                *("-r", str(path)),
            ],
            log=f"pip-{pins}",
            environment={"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
            hint="Is the package index reachable? Then `make up` again takes up from here.",
        )
    stamps.mark_done(stamp, wanted)


def separate(name: str, *, pins: str) -> Path:
    """Make an environment of its own under .tools, for a tool that bodega does not live with.

    Args:
        name: Name of the folder.
        pins: Stem of the file under requirements/.
    """
    environment = TOOLS / name
    _make_environment(environment, name)
    install(environment, pins)
    return environment


def _make_environment(environment: Path, name: str) -> None:
    # `make` may be run from within an environment, this one among them: the interpreter under it is what counts.
    # Comparing the version catches an environment whose interpreter was upgraded or removed under it.
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    wanted = f"{sys.version}\n{interpreter}\n{environment}"
    stamp = environment / ".interpreter"
    if stamps.is_done(stamp, wanted) and os.access(environment / "bin" / "python", os.X_OK):
        return
    with step(f"virtual environment {environment.relative_to(ROOT)} (Python {sys.version.split()[0]})"):
        if _has_ensurepip():
            run([interpreter, "-m", "venv", "--clear", environment], log=f"environment-{name}")
        else:
            _make_without_ensurepip(interpreter, environment, name)
    stamps.mark_done(stamp, wanted)


def _make_without_ensurepip(interpreter: str, environment: Path, name: str) -> None:
    # Debian splits `venv` from Python; what is missing is only pip's wheel.
    folder = debian.unpack("python3-pip-whl")
    wheel = next((folder / "usr/share/python-wheels").glob("pip-*.whl"), None)
    if wheel is None:
        raise SetupFailed("python3-pip-whl holds no wheel of pip; install python3-venv")
    run([interpreter, "-m", "venv", "--clear", "--without-pip", environment], log=f"environment-{name}")
    run(
        [environment / "bin" / "python", wheel / "pip", "install", "--no-input", "pip"],
        log=f"environment-{name}-pip",
        environment={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def _has_ensurepip() -> bool:
    try:
        import ensurepip
    except ImportError:
        return False
    return bool(ensurepip.version())
