"""What was merged was merged to its end."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKER = re.compile(rb"^(<{7}|>{7}|\|{7}) ", re.MULTILINE)


def test_no_file_holds_what_a_merge_leaves_where_it_needs_a_hand() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    assert len(files) > 500
    assert [file for file in files if file.is_file() and MARKER.search(file.read_bytes())] == []
