"""What a user gets: the wheel, in a clean environment without cargo, does what the README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# One worker makes the environment for all of these.
pytestmark = [pytest.mark.xdist_group("wheel"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def wheel() -> Path:
    built = sorted((ROOT / "dist").glob("*.whl"))
    assert len(built) == 1, f"one wheel is expected in dist/, and there are {len(built)}: make wheel"
    return built[0]


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it depends on, nothing else."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=True)
    done = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", wheel],
        env={
            **variables(folder / "bin"),
            **{key: value for key, value in os.environ.items() if key.startswith("PIP_")},
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin"


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """A plain web server, as `python3 -m http.server` is one."""
    (tmp_path / "a.txt").write_text("one\n")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def variables(programs: Path) -> dict[str, str]:
    """An environment in which neither cargo nor a compiler is found, nor this checkout."""
    return {"PATH": str(programs), "HOME": str(programs.parent), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


def readme_block() -> str:
    """The first Python block of the README."""
    found = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found, "the README holds no Python block"
    return found[1]


@contextmanager
def running_edge(environment: Path, origin: str) -> Iterator[str]:
    """`bodega edge` as a newcomer types it; its URL, once it says so."""
    command = [str(environment / "bodega"), "edge", "--origin", origin, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=variables(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        heard = threading.Event()
        own = re.compile(r"http://127\.0\.0\.1:\d+")

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                heard.set()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            url = None
            deadline = time.monotonic() + 30
            while url is None and time.monotonic() < deadline and process.poll() is None:
                heard.wait(0.5)
                heard.clear()
                url = next((each for each in own.findall("".join(said)) if each != origin), None)
            assert url, f"`bodega edge` (code {process.poll()}) never said where it listens:\n{''.join(said)}"
            yield url
        finally:
            process.terminate()
            try:
                assert process.wait(40) == 0, f"`bodega edge` ended badly:\n{''.join(said)}"
            finally:
                process.kill()
                listener.join()


def cache_status(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()
        return str(answer.headers["Cache-Status"])


def test_it_is_one_wheel_for_every_python_from_3_11(wheel: Path) -> None:
    assert re.fullmatch(r"bodega-[\d.]+-cp311-abi3-[\w.]*linux[\w.]*\.whl", wheel.name), wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    assert "bodega/_native/_core.abi3.so" in names
    assert "bodega/py.typed" in names
    assert not [name for name in names if name.startswith("tests/") or name.endswith(".pyc")]


def test_the_base_install_is_small(environment: Path) -> None:
    done = subprocess.run(
        [environment / "python", "-m", "pip", "list", "--format=freeze"],
        env=variables(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {line.split("==")[0].lower().replace("_", "-") for line in done.stdout.splitlines() if "==" in line}
    heavy = {"numpy", "onnxruntime", "polars", "scipy", "fastapi", "uvicorn", "pydantic", "boto3"}
    assert "bodega" in installed
    assert not installed & heavy, "what is heavy is an extra"
    # 14: bodega, seven around typer and rich (the command line), three around cryptography (`bodega check`,
    # `--tls dev`) and three around h2 (`bodega up --try`). pip and setuptools are the environment's own.
    needed = installed - {"pip", "setuptools"}
    assert len(needed) <= 15, sorted(needed)


def test_what_needs_an_extra_names_it(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bodega"), "control", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        command, env=variables(environment), capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False
    )
    assert done.returncode == 2
    assert 'pip install "bodega[control]"' in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_cargo_where_the_wheel_runs(environment: Path) -> None:
    for program in ("cargo", "rustc", "cc", "maturin"):
        assert shutil.which(program, path=variables(environment)["PATH"]) is None, program


def test_an_edge_before_an_origin_serves_the_second_request_from_memory(environment: Path, origin: str) -> None:
    with running_edge(environment, origin) as url:
        first, second = cache_status(f"{url}/"), cache_status(f"{url}/")
    assert re.search(r"; fwd=uri-miss\b.*; stored\b", first), first
    assert re.search(r"; hit; ttl=\d+", second), second


def test_the_python_block_of_the_readme_runs(environment: Path, origin: str, tmp_path: Path) -> None:
    block = readme_block().replace("http://127.0.0.1:9000", origin)
    assert origin in block, "the README's block names another origin than http://127.0.0.1:9000"
    done = subprocess.run(
        [environment / "python", "-W", "error", "-c", block],
        cwd=tmp_path,
        env=variables(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert re.search(r"; fwd=uri-miss\b.*; stored\b", first), first
    assert re.search(r"; hit; ttl=\d+", second), second


def test_the_module_says_how_it_was_built(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "python", "-c", "from bodega._native import build_info; print(build_info())"],
        cwd=tmp_path,
        env=variables(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'profile': 'release'" in done.stdout
    assert "'version': '0.1.0'" in done.stdout
