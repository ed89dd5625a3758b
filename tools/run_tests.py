"""Run every test, Rust and Python, and end with one line: `N passed, N failed`.

The profile is `release`: it shares everything compiled with the native module, and the tests of the data plane run
in a fraction of the time.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tools.setup import native, rust
from tools.setup.progress import ROOT, TOOLS
from tools.setup.python import VENV

REPORT = TOOLS / "pytest.xml"

APART = (
    "bodega-edge",
    "bodega-eviction",
    "bodega-http1",
    "bodega-loadgen",
    "bodega-semantics",
    "bodega-testkit",
)
"""Crates that are tested in a second call of cargo.

Their tests turn on features of shared dependencies (tokio's test clock, what proptest and mio add). In one call cargo
would turn them on for all, and compile the data plane again instead of taking what the native module was built of.
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        """Add up two counts."""
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def failed_at_least_once(self) -> Count:
        """Count one failure where a run failed without saying which test."""
        return self if self.failed else Count(self.passed, 1, self.skipped)

    def __str__(self) -> str:
        """The closing line."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def main() -> int:
    """Run all tests.

    Returns:
        0 if every test passed and there were some in both languages.
    """
    environment = {**os.environ, **rust.prepare(), **native.CARGO}
    began = time.monotonic()
    rust_count = run_rust(environment)
    python_count = run_python(environment)
    total = rust_count + python_count
    print(f"\nRust: {rust_count}\nPython: {python_count}\n{time.monotonic() - began:.0f} s\n{total}", flush=True)
    return 1 if total.failed else 0


def run_rust(environment: Mapping[str, str]) -> Count:
    """Run the tests of all crates."""
    print("\n== Rust ==", flush=True)
    main = ["--workspace", *(f"--exclude={crate}" for crate in APART)]
    apart = [f"--package={crate}" for crate in APART]
    return _run_cargo(main, environment) + _run_cargo(apart, environment)


def _run_cargo(crates: Sequence[str], environment: Mapping[str, str]) -> Count:
    locked = ["--locked"] if os.environ.get("CI") else []
    command = ["cargo", "test", "--release", "--no-fail-fast", "--quiet", *locked, *crates]
    code, lines = _stream(command, environment)
    count = Count()
    for line in lines:
        result = re.match(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", line)
        if result:
            count += Count(*(int(number) for number in result.groups()))
    return count if code == 0 and count.passed else count.failed_at_least_once()


def run_python(environment: Mapping[str, str]) -> Count:
    """Run the tests under tests/."""
    print("\n== Python ==", flush=True)
    REPORT.unlink(missing_ok=True)
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "pytest",
        "--quiet",
        "-n",
        "2",
        "--dist=loadgroup",
        f"--junit-xml={REPORT}",
    ]
    code, _ = _stream(command, environment)
    count = _read_report(REPORT)
    return count if code == 0 and count.passed else count.failed_at_least_once()


def _read_report(path: Path) -> Count:
    if not path.is_file():
        return Count()
    # The report was written a moment ago by our own pytest.
    suites = ElementTree.parse(path).getroot().iter("testsuite")
    count = Count()
    for suite in suites:
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        count += Count(tests - failed - skipped, failed, skipped)
    return count


def _stream(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    print(f"$ {' '.join(command)}", flush=True)
    lines = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, lines


if __name__ == "__main__":
    sys.exit(main())
