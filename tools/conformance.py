"""Run the scenarios and print, by section of an RFC, how many there are and how many pass in each mode.

Each file under `tests/scenarios` may name the sections it tests and the modes it runs in
(`docs/reference/scenarios.md`); a file that names no section counts in the last row.
`make test` runs the same files: what fails here fails there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.run_tests import APART
from tools.setup import native, rust
from tools.setup.progress import ROOT

SCENARIOS = ROOT / "tests" / "scenarios"
MODES = ("safe", "rfc")

TITLES = {
    "9110": "HTTP Semantics",
    "9111": "HTTP Caching",
    "5861": "HTTP Cache-Control Extensions for Stale Content",
    "6585": "Additional HTTP Status Codes",
    "7239": "Forwarded HTTP Extension",
    "6797": "HTTP Strict Transport Security (HSTS)",
    "8246": "HTTP Immutable Responses",
    "8297": "An HTTP Status Code for Indicating Hints",
    "8586": "Loop Detection in Content Delivery Networks (CDNs)",
    "9209": "The Proxy-Status HTTP Response Header Field",
    "9211": "The Cache-Status HTTP Response Header Field",
    "9213": "Targeted HTTP Cache Control",
    "9530": "Digest Fields",
    "9875": "HTTP Cache Groups",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a file says of itself."""

    name: str
    """Its path under `tests/scenarios`, without its ending."""
    sections: tuple[str, ...]
    """RFC and section, as in `9111 4.2.3`."""
    runs: Mapping[str, str]
    """The name of its test, by mode."""


@dataclass(slots=True)
class Row:
    """One section."""

    section: str
    title: str
    files: set[str] = field(default_factory=set)
    passed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    failed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))

    def add(self, scenario: Scenario, verdicts: Mapping[str, bool]) -> None:
        """Count what became of one file."""
        self.files.add(scenario.name)
        for mode, test in scenario.runs.items():
            counted = self.passed if verdicts.get(test, False) else self.failed
            counted[mode] += 1

    def has_failed(self) -> bool:
        """Whether anything failed in any mode."""
        return any(self.failed.values())

    def cell(self, mode: str) -> str:
        """How a mode fared: what passed of what ran."""
        n_runs = self.passed[mode] + self.failed[mode]
        return f"{self.passed[mode]}/{n_runs}" if n_runs else "-"


@dataclass(slots=True)
class FrontCount:
    """What came of the scenarios through one front."""

    front: str
    passed: int = 0
    failed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """How many it cannot say, by rule."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios and print the table.

    Returns:
        0 if everything passed and every file was run.
    """
    parser = argparse.ArgumentParser(prog="python3 -m tools.conformance", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one document on standard output, no table")
    options = parser.parse_args(arguments)
    scenarios = list(read_scenarios(SCENARIOS))
    code, verdicts, told = run()
    fronts_code, fronts, fronts_told = run_fronts()
    not_run = sorted(test for scenario in scenarios for test in scenario.runs.values() if test not in verdicts)
    failed = sorted(test for test, passed in verdicts.items() if not passed)
    rows, total = tabulate(scenarios, verdicts, read_titles(SCENARIOS))
    if options.json:
        print(json.dumps(as_document(rows, total, failed, not_run, fronts), indent=2))
    else:
        print("\n".join(table(rows, total, colored=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))))
        print("\n".join(["", *front_table(fronts)]))
    for line in [*(told if code != 0 else ()), *(fronts_told if fronts_code != 0 else ())]:
        print(line, file=sys.stderr)
    for test in not_run:
        print(f"not run: {test}", file=sys.stderr)
    return 1 if code != 0 or failed or not_run or not scenarios or fronts_code != 0 or not fronts else 0


def read_scenarios(folder: Path) -> Iterable[Scenario]:
    """What the files in the folders of `folder` say of themselves, in the order of their names."""
    for path in sorted(folder.glob("*/**/*.toml")):
        name = str(path.relative_to(folder).with_suffix(""))
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError:
            # The runner says what is wrong with it.
            document = {}
        named = document.get("rfc", ())
        own_mode = document.get("policy", {}).get("mode", "safe")
        modes = document.get("modes")
        yield Scenario(
            name,
            (named,) if isinstance(named, str) else tuple(named),
            {own_mode: name} if modes is None else {mode: f"{name} ({mode})" for mode in modes},
        )


def read_titles(folder: Path) -> dict[str, str]:
    """The sections that files may name, with their titles, in the order of the table."""
    titles = tomllib.loads((folder / "sections.toml").read_text(encoding="utf-8"))
    return {section: str(title) for section, title in titles.items()}


def run() -> tuple[int, dict[str, bool], list[str]]:
    """Run every scenario.

    Returns:
        The exit status of cargo, whether each test passed, and the lines that are no verdicts.
    """
    # The crates of one call of `make test`, so that nothing is compiled a second time.
    crates = [f"--package={crate}" for crate in APART]
    code, lines = _cargo_test([*crates, "--test", "scenarios"], ["--format", "json"])
    return code, *read_verdicts(lines)


def run_fronts() -> tuple[int, list[FrontCount], list[str]]:
    """Run every scenario again through each front.

    Returns:
        The exit status of cargo, what was counted, and everything that was said.
    """
    # And those of the other.
    crates = ["--workspace", *(f"--exclude={crate}" for crate in APART)]
    code, lines = _cargo_test([*crates, "--lib"], ["scenarios::", "--nocapture"])
    return code, read_fronts(lines), lines


def _cargo_test(chosen: Sequence[str], arguments: Sequence[str]) -> tuple[int, list[str]]:
    locked = ["--locked"] if os.environ.get("CI") else []
    done = subprocess.run(
        ["cargo", "test", "--release", "--quiet", *locked, *chosen, "--", *arguments],
        cwd=ROOT,
        env={**os.environ, **rust.prepare(), **native.CARGO},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def read_fronts(lines: Iterable[str]) -> list[FrontCount]:
    """What the tests of the fronts have printed, in the order of the fronts' names."""
    fronts: dict[str, FrontCount] = {}
    for line in lines:
        if counted := _COUNTED.search(line):
            front, passed, failed = counted.groups()
            fronts.setdefault(front, FrontCount(front)).passed = int(passed)
            fronts[front].failed = int(failed)
        elif left_out := _LEFT_OUT.search(line):
            front, count, why = left_out.groups()
            fronts.setdefault(front, FrontCount(front)).left_out[why] = int(count)
    return [fronts[name] for name in sorted(fronts)]


def front_table(fronts: Sequence[FrontCount]) -> list[str]:
    """Lay out what came of the fronts for people."""
    heading = f"{'The same over':20} {'passed':>8} {'failed':>8} {'left out':>9}"
    counts = [
        f"{front.front:20} {front.passed:8} {front.failed:8} {sum(front.left_out.values()):9}" for front in fronts
    ]
    reasons = dict.fromkeys(why for front in fronts for why in front.left_out)
    return [heading, *counts, *(f"left out: {why}" for why in reasons)]


_COUNTED = re.compile(r"scenarios over (.+?): (\d+) passed, (\d+) failed, \d+ left out")
_LEFT_OUT = re.compile(r"left out over (.+?): (\d+), (.+)")


def read_verdicts(lines: Iterable[str]) -> tuple[dict[str, bool], list[str]]:
    """Whether each test passed, and everything else that was said, failures of tests included."""
    verdicts: dict[str, bool] = {}
    told: list[str] = []
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            told.append(line)
            continue
        if not isinstance(event, dict):
            told.append(line)
        elif event.get("type") == "test" and event.get("event") in {"ok", "failed"}:
            verdicts[event["name"]] = event["event"] == "ok"
            if event["event"] == "failed":
                told += [f"failed: {event['name']}", str(event.get("stdout", ""))]
    return verdicts, told


def tabulate(
    scenarios: Iterable[Scenario], verdicts: Mapping[str, bool], titles: Mapping[str, str]
) -> tuple[list[Row], Row]:
    """Count by section.

    Returns:
        The rows that have tests, and the total, in which a file that names two sections counts once.
    """
    rows = {section: Row(section, title) for section, title in titles.items()}
    rest, total = Row("", "The product's own rules"), Row("", "Total")
    for scenario in scenarios:
        for section in scenario.sections:
            rows.setdefault(section, Row(section, "?")).add(scenario, verdicts)
        if not scenario.sections:
            rest.add(scenario, verdicts)
        total.add(scenario, verdicts)
    return [row for row in [*rows.values(), rest] if row.files], total


def table(rows: Sequence[Row], total: Row, *, colored: bool) -> list[str]:
    """Lay out the table for people."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colored else text

    width = max(len(row.title) for row in [*rows, total])
    lines = [paint(f"{'section':9} {'':{width}} {'tests':>6} {'safe':>8} {'rfc':>8}", "2")]
    rfc = None
    for row in [*rows, total]:
        own, _, number = row.section.partition(" ")
        if own != rfc:
            rfc = own
            heading = f"RFC {own} {TITLES.get(own, '')}" if own else ""
            lines += ["", *([paint(heading.rstrip(), "1")] if heading else [])]
        cells = [
            paint(f"{row.cell(mode):>8}", "31;1" if row.failed[mode] else "32" if row.passed[mode] else "2")
            for mode in MODES
        ]
        text = f"{number:9} {row.title:{width}} {len(row.files):6}"
        lines.append(" ".join([paint(text, "1") if row is total else text, *cells]))
    verdict = "all passed" if not total.has_failed() else f"{sum(total.failed.values())} failed"
    return [*lines, "", paint(verdict, "31;1" if total.has_failed() else "32;1")]


def as_document(
    rows: Sequence[Row], total: Row, failed: Sequence[str], not_run: Sequence[str], fronts: Sequence[FrontCount]
) -> dict[str, object]:
    """The table for machines."""

    def row_document(row: Row) -> dict[str, object]:
        modes = {mode: {"passed": row.passed[mode], "failed": row.failed[mode]} for mode in MODES}
        return {"section": row.section or None, "title": row.title, "tests": len(row.files), **modes}

    return {
        "sections": [row_document(row) for row in rows],
        "total": row_document(total),
        "failed": list(failed),
        "not_run": list(not_run),
        "fronts": [asdict(front) for front in fronts],
    }


if __name__ == "__main__":
    sys.exit(main())
