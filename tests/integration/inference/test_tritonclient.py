"""`tritonclient`, as people have it, before real edges. It runs in an environment of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.inference import onnx_models
from tools.setup import python

from bodega import Behavior, Distribution, EdgeMLServer, EdgeServer, Model
from bodega.distributions.model import MODEL_PATHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.certificates import Authority

SESSIONS = Path(__file__).with_name("tritonclient_sessions")


def cases(session: str) -> list[str]:
    """Name the cases of a session: its functions that begin with no underscore."""
    parsed = ast.parse((SESSIONS / f"{session}.py").read_text())
    named = [each.name for each in parsed.body if isinstance(each, ast.FunctionDef)]
    return [name for name in named if not name.startswith("_")]


def outcomes(session: str, folder: Path, authority: Authority) -> Mapping[str, str | None]:
    """Run a session; the traceback of each case that failed."""
    client = python.separate("tritonclient", pins="tritonclient") / "bin" / "python"
    fraud = Model(str(onnx_models.linear(folder / "fraud.onnx", [1.0, 2.0])), version="v1")
    pair = authority.sign("localhost")
    whole = folder / "localhost.pem"
    whole.write_bytes(Path(pair.key).read_bytes() + Path(pair.certificate).read_bytes())
    distribution = Distribution("ml", behaviors=[Behavior(MODEL_PATHS, origin=fraud, policy="predictions")])
    with (
        EdgeServer(distribution=distribution, listen="127.0.0.1:0", listen_tls="127.0.0.1:0", tls=str(whole)) as edge,
        EdgeMLServer(onnx_models.typed(folder / "typed.onnx")) as typed,
        EdgeMLServer(onnx_models.slow(folder / "slow.onnx")) as slow,
    ):
        where = {
            "fraud": edge.url.removeprefix("http://"),
            "predict": f"{edge.url}/predict",
            "tls": str(edge.tls_url).removeprefix("https://"),
            "root": authority.file,
            "typed": typed.url.removeprefix("http://"),
            "slow": slow.url.removeprefix("http://"),
        }
        done = subprocess.run(
            [client, SESSIONS / f"{session}.py", json.dumps(where)],
            capture_output=True,
            text=True,
            timeout=150,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    found: dict[str, str | None] = {}
    for line in done.stdout.splitlines():
        found.update(json.loads(line))
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="module")
def by_http(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Mapping[str, str | None]:
    return outcomes("by_http", tmp_path_factory.mktemp("by_http"), authority)


@pytest.fixture(scope="module")
def by_grpc(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Mapping[str, str | None]:
    return outcomes("by_grpc", tmp_path_factory.mktemp("by_grpc"), authority)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", cases("by_http"))
def test_by_http(by_http: Mapping[str, str | None], case: str) -> None:
    assert by_http[case] is None, by_http[case]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", cases("by_grpc"))
def test_by_grpc(by_grpc: Mapping[str, str | None], case: str) -> None:
    assert by_grpc[case] is None, by_grpc[case]
