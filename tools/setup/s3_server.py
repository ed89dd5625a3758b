"""versitygw, the real S3 server that tests and `bodega up` talk with: built from its Go module into .tools/bin."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tools.setup import python, stamps
from tools.setup.progress import TOOLS, run, step

MODULE = "github.com/versity/versitygw/cmd/versitygw"
VERSION = "v1.8.0"
OLDEST_GO = (1, 25)
SERVER = TOOLS / "bin" / "versitygw"
STAMP = stamps.FOLDER / "s3-server"


def prepare() -> None:
    """Build the server unless this version of it is there."""
    if stamps.is_done(STAMP, VERSION) and os.access(SERVER, os.X_OK):
        return
    go = _find_go()
    if go is None:
        go = python.separate("go", pins="go") / "bin" / "go"
    with step(f"S3 server for tests (versitygw {VERSION})"):
        run(
            [go, "install", "-trimpath", "-ldflags=-s -w", f"{MODULE}@{VERSION}"],
            log="s3-server",
            environment={"GOBIN": str(SERVER.parent), "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"},
            hint=f"By hand, with Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later: "
            f"GOBIN={SERVER.parent} go install {MODULE}@{VERSION}",
        )
    stamps.mark_done(STAMP, VERSION)


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
