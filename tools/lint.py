"""Run every check that needs no running server, all of them even if one fails, and name those that failed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from tools.setup import native, rust
from tools.setup.progress import ROOT
from tools.setup.python import VENV

BIN = VENV / "bin"

CHECKS: Sequence[tuple[str, Sequence[str]]] = (
    ("rustfmt", ("cargo", "fmt", "--all", "--check")),
    # The profile is that of the tests, so that what C code there is gets compiled once.
    ("clippy", ("cargo", "clippy", "--quiet", "--release", "--workspace", "--all-targets", "--", "-D", "warnings")),
    ("ruff check", (str(BIN / "ruff"), "check", "--quiet", "--output-format=concise")),
    ("ruff format", (str(BIN / "ruff"), "format", "--quiet", "--check")),
    ("mypy", (str(BIN / "mypy"), "--no-error-summary")),
    ("import-linter", (str(BIN / "lint-imports"), "--no-cache")),
    (
        "stubtest",
        (str(BIN / "stubtest"), "bodega._native._core", "--allowlist", "tests/architecture/stubtest-allowed.txt"),
    ),
)


def main() -> int:
    """Run the checks.

    Returns:
        0 if all passed.
    """
    environment = {**os.environ, **rust.prepare(), **native.CARGO, "MYPYPATH": str(ROOT / "python")}
    failed = []
    for name, command in CHECKS:
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        word = "ok" if done.returncode == 0 else "FAILED"
        print(f"{word:6} {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(f"$ {' '.join(command)}\n{done.stdout}", flush=True)
    if failed:
        print(f"lint failed: {', '.join(failed)}. `make format` repairs what is only layout.")
        return 1
    print(f"lint passed: {len(CHECKS)} checks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
