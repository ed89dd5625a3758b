"""The programs that measurements start, and where they come from.

They are packages of Debian: as root what is missing gets installed, otherwise the command is named.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

from tools.setup import debian
from tools.setup.progress import SetupFailed

from benchmarks.failure import MeasurementFailed

PACKAGES = debian.FOR_BENCHMARKS


def find(program: str) -> str:
    """Return where a program is.

    Raises:
        MeasurementFailed: If it is not installed.
    """
    found = debian.find(program)
    if found is None:
        raise MeasurementFailed(
            f"{program} is not installed. As root: apt-get install {PACKAGES.get(program, program)}"
        )
    return found


def bring(names: Iterable[str]) -> None:
    """Install the programs that are missing, as root.

    Raises:
        MeasurementFailed: If one is missing and cannot be installed; with the command that would do it.
    """
    missing = [name for name in names if debian.find(name) is None]
    if not missing:
        return
    packages = sorted({PACKAGES[name] for name in missing})
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MeasurementFailed(f"missing: {', '.join(missing)}. As root: apt-get install {' '.join(packages)}")
    try:
        # Standard output is for figures.
        with contextlib.redirect_stdout(sys.stderr):
            debian.install(packages)
    except SetupFailed as failure:
        raise MeasurementFailed(str(failure)) from failure


def first_line(command: list[str]) -> str:
    """Return the first line that a program prints about itself, wherever it prints it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=30)
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "unknown")
