"""The guide says what is so: its commands and its Python, run as they stand, one after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.control.conftest import SECONDS, ControlProcess, register
from tests.integration.control.test_nouns import CONFIGURATION

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "guides" / "control.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def here(text: str, control: ControlProcess) -> str:
    """Put what is on this machine in place of what the guide takes for an example."""
    folder = str(control.journal.parent)
    for example, ours in (
        ("http://127.0.0.1:9280", control.url),
        ("/var/lib/bodega", folder),
        ("/backups", folder),
    ):
        text = text.replace(example, ours)
    return text


@pytest.mark.timeout(300)
def test_the_commands_and_the_python_of_the_guide(control: ControlProcess, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(CONFIGURATION)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    # These two have been done: by this checkout, and by the test.
    assert lines[:2] == ['pip install "bodega[control]"', "bodega control --journal /var/lib/bodega/journal.db"]
    environment = {**control.environment, "PATH": f"{Path(sys.executable).parent}:{control.environment['PATH']}"}
    for name in ("BODEGA_CONTROL", "BODEGA_TOKEN"):
        environment.pop(name, None)
    exported = ""
    for line in lines[2:]:
        if line.startswith("export "):
            exported = here(line, control)
            continue
        if line.startswith("bodega edges drain"):
            # It has been invited, and joins.
            with control.client() as client:
                assert register(client, "tokyo-1").status_code == 200
        # What is exported holds for what comes after it in the guide.
        typed = f"{exported}\n{here(line, control)}"
        done = subprocess.run(
            ["bash", "-ec", typed],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    python = here("\n".join(blocks("python")), control)
    done = subprocess.run(
        [sys.executable, "-c", python],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["[]", "True"]
