from __future__ import annotations

import subprocess
import sys


def test_a_client_needs_nothing_of_the_control_process() -> None:
    """Whoever only commands a fleet has the base install, without the extra `control`."""
    looked = (
        "import sys, bodega.client, bodega.cli; print(sorted({'fastapi', 'pydantic', 'structlog'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
