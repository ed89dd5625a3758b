"""h2spec in full, over TLS: what RFC 9113 and RFC 7541 demand of a server, checked by somebody else's program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.integration.conftest import KEPT, Front

from bodega.testing import Answer, Origin

EXPECTED: dict[str, str] = {}
"""Cases that do not pass, and why that is right."""


@pytest.mark.timeout(400)
def test_every_case_passes_or_has_a_reason(front: Front, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = shutil.which("h2spec")
    assert program, "`make test` builds it"
    # Some cases post, and some need a body that is longer than the windows they open.
    report = tmp_path / "junit.xml"
    with Origin({"*": Answer(b"h2spec" * 4096, headers=KEPT)}) as origin:
        edge = front(origin)
        done = subprocess.run(
            [
                *(program, "--tls", "--insecure", "--host", "127.0.0.1", "--port", str(edge.tls_port)),
                *("--strict", "--timeout", "5", "--junit-report", str(report)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=390,
        )
        assert edge.is_running
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {f"{case.get('package')}: {case.get('classname')}" for case in cases if case.find("failure") is not None}
    errors = {f"{case.get('package')}: {case.get('classname')}" for case in cases if case.find("error") is not None}
    with capsys.disabled():
        print(f"\nh2spec: {done.stdout.strip().splitlines()[-1]}")
    assert len(cases) > 140, done.stdout
    assert failed | errors == set(EXPECTED), done.stdout[-8000:]
