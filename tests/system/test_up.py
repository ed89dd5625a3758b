"""`bodega up` as a person starts it: a process, three edges, real origins; and nothing left when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from bodega import connect
from bodega.errors import AddressInUse
from bodega.up import demonstration
from bodega.up.demonstration import Demonstration, Options
from bodega.up.predictors import Predictors, cached_folder

STEPS = ["cold", "warm", "https", "changed", "invalidated", "private", "film", "model", "predictions", "crowd", "down"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep one model file for all tests here, and out of the user's own cache; with the models that set-up made."""
    made = cached_folder()
    assert made.is_dir(), "python3 -m tools.setup test makes the models"
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "bodega" / "up" / made.name
    folder.parent.mkdir(parents=True)
    folder.symlink_to(made)
    return cache


@contextmanager
def bodega(*arguments: str, scratch: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    # A runtime directory of its own: a purge that somebody else makes on this machine must not reach these edges.
    runtime = runtime_folder()
    runtime.mkdir(mode=0o700, exist_ok=True)
    places = {"TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache), "XDG_RUNTIME_DIR": str(runtime)}
    places["XDG_STATE_HOME"] = str(cache / "state")
    environment = {**os.environ, **places}
    # That ONNX Runtime calls nobody, and leaves no file, is for bodega to see to.
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("ORT_TELEMETRY_DISABLED", None)
    command = [sys.executable, "-m", "bodega", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    try:
        with process:
            yield process
        assert list((runtime / "bodega").iterdir()) == []
    finally:
        process.kill()
        shutil.rmtree(runtime, ignore_errors=True)


def runtime_folder() -> Path:
    """Name a short path: that of a socket has 107 bytes at most, wherever tests have their folders."""
    return Path(tempfile.gettempdir(), f"bodega-up-{os.getpid()}")


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    told: dict[str, Any] = json.loads(line)
    return told


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.timeout(300)
def test_a_visit_is_as_it_should_be_and_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    with bodega("up", "--try", "--json", scratch=tmp_path, cache=cache) as process:
        output, errors = process.communicate()
    lines = [json.loads(line) for line in output.splitlines()]
    wrong = [line for line in lines if line.get("ok") is False or line.get("verdict") == "short"]
    assert (process.returncode, wrong) == (0, []), errors
    assert [line["step"] for line in lines if line["kind"] == "step"] == STEPS
    figures = {line["name"]: line["verdict"] for line in lines if line["kind"] == "figure"}
    assert set(figures.values()) == {"reached"}
    assert len(figures) == 4
    predicted = [line["what"] for line in lines if line["kind"] == "check" and line["step"] == "predictions"]
    assert "magika knows /video/tour.mp4" in predicted
    assert len(predicted) == 9
    started = lines[0]
    assert [edge["region"] for edge in started["edges"]] == ["ap-northeast-1", "eu-west-2", "us-east-1"]
    assert not any(is_alive(edge["pid"]) for edge in started["edges"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(tmp_path: Path, cache: Path, number: signal.Signals) -> None:
    with bodega("up", "--json", scratch=tmp_path, cache=cache) as process:
        started = told(process)
        edges = started["edges"]
        with urlopen(edges[2]["url"]) as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Status"].startswith("virginia; fwd=uri-miss")
        assert told(process)["kind"] == "edge"
        with urlopen(edges[2]["tls_url"], context=ssl.create_default_context(cafile=started["authority"])) as answer:
            assert answer.headers["Cache-Status"].startswith("virginia; fwd=uri-miss; stored")
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 0
    assert not any(is_alive(edge["pid"]) for edge in edges)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
def test_an_edge_that_dies_ends_everything_and_is_named(tmp_path: Path, cache: Path) -> None:
    with bodega("up", "--json", scratch=tmp_path, cache=cache) as process:
        edges = told(process)["edges"]
        os.kill(edges[1]["pid"], signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode not in (0, None)
    assert "the edge in London was ended by signal 9" in errors
    assert not any(is_alive(edge["pid"]) for edge in edges)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
def test_a_file_of_ones_own_runs_on_three_edges(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "bodega.toml"
    file.write_text('[distributions.hello]\nhosts = ["*"]\nbehaviors = [{ answer = { body = "hello" } }]\n')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with bodega("up", str(file), "--json", scratch=scratch, cache=cache) as process:
        for edge in told(process)["edges"]:
            with urlopen(edge["url"]) as answer:
                assert answer.read() == b"hello"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert list(scratch.iterdir()) == []


@pytest.mark.timeout(120)
def test_a_purge_reaches_all_edges_through_their_control_process(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder()))
    with bodega("up", "--json", scratch=tmp_path, cache=cache) as process:
        started = told(process)
        # Found as a person's own commands find it: nothing is named.
        with connect() as fleet:
            assert fleet.url == started["control"]["url"]
            assert {each.name for each in fleet.edges.list()} == {"tokyo", "london", "virginia"}
            for edge in started["edges"]:
                assert "; stored" in cache_status(edge["url"])
                assert "; hit" in cache_status(edge["url"])
            done = fleet.invalidate(selectors=["all"]).wait(timeout="30s")
        assert set(done.applied) == {"tokyo", "london", "virginia"}
        # Tokyo and London are 75 ms away from the control process, too, and say so: there and back.
        assert min(done.applied["tokyo"], done.applied["london"]) >= 150
        assert not any("; hit" in cache_status(edge["url"]) for edge in started["edges"])
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert not is_alive(started["control"]["pid"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(120)
def test_its_models_answer_the_terminal_and_other_programs(tmp_path: Path, cache: Path) -> None:
    models = Predictors(cached_folder())
    expected = models.cases[0]["prediction"]["label"]
    with bodega("up", "--json", scratch=tmp_path, cache=cache) as process:
        started = told(process)
        assert started["models"] == ["breast-cancer", "magika"]
        url = started["edges"][0]["url"]
        for became in ("computed", "kept"):
            command = [sys.executable, "-m", "bodega", "predict", "--url", f"{url}models/breast-cancer/predict", "-"]
            said = subprocess.run(command, input=models.case.read_text(), capture_output=True, text=True, check=True)
            prediction, rest = json.JSONDecoder().raw_decode(said.stdout)
            assert prediction["label"] == expected
            assert said.stdout[rest:].split()[0] == became
        # The same row by another protocol is the same prediction, from memory.
        for name in started["models"]:
            with urlopen(f"{url}v2/models/{name}/ready") as answer:
                assert answer.status == 200
        with urlopen(f"{url}v2/models/breast-cancer") as answer:
            (taken,) = json.load(answer)["inputs"]
        tensor = {**taken, "shape": [1, 30], "data": models.cases[0]["features"]}
        request = Request(f"{url}v2/models/breast-cancer/infer", json.dumps({"inputs": [tensor]}).encode())
        with urlopen(request) as answer:
            assert "; hit" in answer.headers["Cache-Status"]
            (label,) = [each for each in json.load(answer)["outputs"] if each["name"] == "label"]
        assert label["data"] == [expected]
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0


@pytest.mark.timeout(120)
def test_without_what_makes_the_models_the_rest_runs_and_it_is_said(tmp_path: Path, cache: Path) -> None:
    without = tmp_path / "cache"
    (without / "bodega").mkdir(parents=True)
    (without / "bodega" / "up").mkdir()
    model_file = next((cache / "bodega" / "up").glob("*.safetensors"), None)
    if model_file is not None:
        (without / "bodega" / "up" / model_file.name).symlink_to(model_file)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with bodega("up", "--json", scratch=scratch, cache=without) as process:
        started = told(process)
        assert started["models"] == []
        assert "not installed" in started["no_models"]
        assert 'pip install "bodega[models,demo]"' in started["no_models"]
        with urlopen(started["edges"][0]["url"]) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0


def cache_status(url: str) -> str:
    with urlopen(url) as answer:
        # It is kept once it is whole, and not with its head.
        answer.read()
        return str(answer.headers["Cache-Status"])


@pytest.mark.timeout(60)
def test_a_port_that_somebody_takes_at_the_last_moment_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bodega.toml"
    file.write_text('[distributions.hello]\nhosts = ["*"]\nbehaviors = [{ answer = { body = "hello" } }]\n')
    runtime = runtime_folder()
    runtime.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    really_free = demonstration._is_free
    with socket.create_server(("127.0.0.1", 0)) as rival:
        lost = rival.getsockname()[1]
        # It listens from the moment on when it has been looked whether anybody does.
        monkeypatch.setattr(demonstration, "PREFERRED_PORT", lost)
        monkeypatch.setattr(demonstration, "_is_free", lambda port: port == lost or really_free(port))
        with Demonstration(Options(file=file)) as started:
            started.start()
            assert lost not in {int(edge.address.rpartition(":")[2]) for edge in started.edges}
            for edge in started.edges:
                with urlopen(edge.url) as answer:
                    assert answer.read() == b"hello"
        with pytest.raises(AddressInUse, match=r"127.0.0.1:\d+ is taken"):
            Demonstration(Options(file=file, port_base=lost)).start()
    shutil.rmtree(runtime)
