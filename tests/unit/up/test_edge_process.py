from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bodega.errors import EdgeError
from bodega.up.edge_process import EdgeProcess, start_edge
from bodega.up.places import PLACES
from bodega.up.program import Program


def running(tmp_path: Path, script: str) -> EdgeProcess:
    log = tmp_path / "tokyo.log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", script], stderr=output, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    program = Program("the edge in Tokyo", process, log)
    return EdgeProcess(PLACES[0], "127.0.0.1:8080", "127.0.0.1:8443", program)


def test_an_edge_that_dies_says_its_last_lines(tmp_path: Path) -> None:
    edge = running(tmp_path, "import sys; sys.exit('bodega.toml:3: no such origin')")
    with pytest.raises(EdgeError, match=r"(?s)Tokyo ended with status 1; its last lines:.*no such origin"):
        edge.wait_ready()


def test_an_edge_that_is_killed_says_by_which_signal(tmp_path: Path) -> None:
    edge = running(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(EdgeError, match=f"ended by signal {signal.SIGKILL.value} and said nothing"):
        edge.wait_ready()


def test_an_edge_that_was_asked_to_stop_is_no_error(tmp_path: Path) -> None:
    edge = running(tmp_path, "print(flush=True); import time; time.sleep(60)")
    edge.program.ask_to_stop()
    edge.program.wait_stopped(10)
    edge.program.check()


def test_an_edge_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    edge = running(tmp_path, script)
    edge.program.ask_to_stop()
    began = time.monotonic()
    edge.program.wait_stopped(0.2)
    assert time.monotonic() - began < 10


def test_the_process_is_given_place_addresses_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "python"
    shown.write_text('#!/bin/sh\nshift 2\necho "$@" "key $AWS_ACCESS_KEY_ID"\n')
    shown.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shown))
    edge = start_edge(
        PLACES[1],
        tmp_path / "bodega.toml",
        address="127.0.0.1:8081",
        tls_address="127.0.0.1:8444",
        log=tmp_path / "log",
        options=["--memory", "64MB"],
        environment={"AWS_ACCESS_KEY_ID": "demo"},
    )
    edge.program.wait_stopped(10)
    expected = (
        "--listen 127.0.0.1:8081 --listen-tls 127.0.0.1:8444 --name london --region eu-west-2 --memory 64MB key demo"
    )
    assert (tmp_path / "log").read_text() == f"edge {tmp_path / 'bodega.toml'} {expected}\n"
