"""Where the native module cannot be loaded, the import says why and what to do."""

from __future__ import annotations

import subprocess
import sys

# The module is made unfindable, and the machine another.
PREPARE = """
import platform, sys
sys.modules["bodega._native._core"] = None
platform.machine = lambda: {machine!r}
sys.platform = {system!r}
import bodega._native
"""


def said(machine: str, system: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PREPARE.format(machine=machine, system=system)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def test_another_processor_is_named_with_what_to_do() -> None:
    assert "on riscv64: use a Linux machine" in said("riscv64", "linux")


def test_another_system_is_named_with_what_to_do() -> None:
    assert "bodega runs on Linux on x86-64 and arm64" in said("x86_64", "darwin")


def test_a_missing_module_is_named_with_what_to_do() -> None:
    assert "pip install bodega), or build it in a checkout (make up)" in said("x86_64", "linux")
