"""The hand-written stub says what the built module offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bodega._native
from bodega._native import _core

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = Path(__file__).with_name("stubtest-allowed.txt")


def test_the_stub_agrees_with_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "bodega._native._core", "--allowlist", str(ALLOWED)],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        "python/bodega/_native/_core.pyi and crates/bodega-python part: a stub that nobody compares drifts\n"
        f"{done.stdout}{done.stderr}"
    )


def test_every_allowed_difference_has_a_reason() -> None:
    for line in ALLOWED.read_text().splitlines():
        assert not line or line.startswith("#") or "  # " in line, f"no reason given: {line}"


def test_the_package_offers_all_of_the_module() -> None:
    assert sorted(bodega._native.__all__) == sorted(_core.__all__)
