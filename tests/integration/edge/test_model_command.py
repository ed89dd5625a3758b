"""`bodega edge --model`, and a model in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.certificates import make_authority
from tests.integration.inference import onnx_models

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.edge.conftest import EdgeCommand

Start = Callable[..., "EdgeCommand"]


def bodega(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bodega", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=folder,
        env={**os.environ, "BODEGA_RUNTIME_DIR": str(folder / "run")},
    )


def predict(url: str, features: list[float]) -> Any:
    body = json.dumps({"features": features}).encode()
    with urllib.request.urlopen(f"{url}/predict", data=body, timeout=20) as response:
        return json.load(response)


def test_a_model_needs_no_other_file_and_is_purged_by_its_name(tmp_path: Path, command: Start) -> None:
    model = onnx_models.linear(tmp_path / "fraud.onnx", [2.0])
    edge = command("--model", str(model), "--listen", ":0", "--region", "eu")
    edge.wait_said("forget them: `bodega purge model:fraud`")
    said = "".join(edge.lines)
    assert "POST /predict, /batch_predict and /v2 ask fraud; predictions are kept 5 m" in said
    first = predict(edge.url, [4])
    assert (first["prediction"], first["cached"], first["edge_region"]) == (8.0, False, "eu")
    assert predict(edge.url, [4])["cached"] is True
    purged = bodega(tmp_path, "purge", "model:fraud")
    assert purged.returncode == 0, purged.stderr
    assert predict(edge.url, [4])["cached"] is False


def test_a_model_in_a_folder_with_its_own_file(tmp_path: Path, command: Start) -> None:
    folder = tmp_path / "fraud"
    folder.mkdir()
    onnx_models.linear(folder / "weights.onnx", [2.0])
    (folder / "model.toml").write_text(
        """
        name = "fraud"
        version = "v3"
        [[golden]]
        features = [4]
        prediction = 8
        """
    )
    edge = command("--model", "fraud", "--listen", ":0")
    assert {"model": "fraud", "version": "v3", "prediction": 6.0}.items() <= predict(edge.url, [3]).items()


def test_it_says_how_long_predictions_are_kept(tmp_path: Path, command: Start) -> None:
    # What a `model.toml` says was passed over, and "kept 0 " said of what is not kept.
    for name, ttl in (("fraud", "10m"), ("never", "0")):
        (tmp_path / name).mkdir()
        onnx_models.linear(tmp_path / name / f"{name}.onnx", [2.0])
        (tmp_path / name / "model.toml").write_text(f'name = "{name}"\nttl = "{ttl}"\n')
    onnx_models.linear(tmp_path / "usual.onnx", [2.0])
    for models, options, words in [
        (["fraud"], [], "predictions are kept 10 m"),
        (["fraud"], ["--ttl", "90s"], "predictions are kept 90 s"),
        (["usual.onnx"], ["--ttl", "0"], "predictions are not kept"),
        (
            ["fraud", "never", "usual.onnx"],
            [],
            "those of fraud are kept 10 m, those of never are not kept, those of usual are kept 5 m",
        ),
    ]:
        named = [argument for model in models for argument in ("--model", model)]
        command(*named, *options, "--listen", ":0").wait_said(words)


def test_a_model_is_asked_from_the_terminal(tmp_path: Path, command: Start) -> None:
    model = onnx_models.linear(tmp_path / "fraud.onnx", [2.0, 1.0])
    edge = command("--model", str(model), "--listen", ":0")
    url = f"{edge.url}/predict"
    computed = bodega(tmp_path, "predict", "4,0.5", "--url", url)
    assert (computed.returncode, computed.stdout.split()[:2]) == (0, ["8.5", "computed"]), computed.stderr
    asked = bodega(tmp_path, "predict", "--batch", "[[4, 0.5], [1, 1]]", "--url", url)
    assert [line.split()[:2] for line in asked.stdout.splitlines()] == [["8.5", "kept"], ["3.0", "computed"]]
    answer = json.loads(bodega(tmp_path, "predict", "[1.0, 1]", "--url", url, "--json").stdout)
    assert {"prediction": 3.0, "cached": True, "model": "fraud"}.items() <= answer.items()
    for arguments in (["-1,0.5"], ["-1,0.5", "--json"], ["--", "-1,0.5"]):
        below = bodega(tmp_path, "predict", "--url", url, *arguments)
        assert (below.returncode, "-1.5" in below.stdout) == (0, True), below.stderr
    below = bodega(tmp_path, "predict", "-0.5,-1", "--url", url)
    assert below.stdout.split()[0] == "-2.0", below.stderr
    assert "numbers between commas" in bodega(tmp_path, "predict", "--help").stdout
    for arguments, words in [
        (["-1,2", "--urls", url], "--urls"),
        (["-x", "--url", url], "-x"),
        (["[1]", "--url", url], "float32[2]"),
        (["one", "--url", url], "no inputs"),
        (["1,2", "--url", "here"], "--url"),
        (["1,2", "--url", f"{edge.url}/nothing"], "404"),
    ]:
        refused = bodega(tmp_path, "predict", *arguments)
        assert refused.returncode != 0
        assert words in refused.stderr, refused.stderr


def test_an_edge_that_wants_a_token_and_has_a_private_certificate_is_asked(tmp_path: Path, command: Start) -> None:
    # There was no way to show either.
    onnx_models.linear(tmp_path / "fraud.onnx", [2.0])
    root = make_authority("Our Authority")
    root.issue("localhost").write(tmp_path, "edge")
    (tmp_path / "root.pem").write_bytes(root.pem)
    made = bodega(tmp_path, "tokens", "add", "clients.tokens", "shop")
    (tmp_path / "shop.token").write_text(made.stdout)
    (tmp_path / "bodega.toml").write_text(
        """
        [edge]
        listen = ["127.0.0.1:0"]
        listen_tls = ["127.0.0.1:0"]
        tls = "edge.pem"
        [origins]
        fraud = { model = "fraud.onnx" }
        [distributions.ml]
        behaviors = [{ origin = "fraud", policy = "predictions", authorization = "edge", tokens = "clients.tokens" }]
        """
    )
    edge = command("bodega.toml")
    port = next(url for url in edge.said["listening"] if url.startswith("https:")).rpartition(":")[2]
    plain, url = f"{edge.url}/predict", f"https://localhost:{port}/predict"
    shown = ["--token-file", "shop.token"]
    asked = bodega(tmp_path, "predict", "4", "--url", url, *shown, "--cacert", "root.pem", "--header", "X-Trace: 7")
    assert (asked.returncode, asked.stdout.split()[:2]) == (0, ["8.0", "computed"]), asked.stderr
    assert bodega(tmp_path, "predict", "4", "--url", plain, *shown).stdout.split()[0] == "8.0"
    without = bodega(tmp_path, "predict", "4", "--url", plain, "--json")
    assert (without.returncode, json.loads(without.stdout)["status"]) == (1, 401), without
    wrong = bodega(tmp_path, "predict", "4,5", "--url", plain, *shown, "--json")
    told = {"status": 400, "field": "features", "expected": "float32[1]", "given": "float32[2]"}
    assert wrong.returncode == 1
    assert told.items() <= json.loads(wrong.stdout).items()
    nobody = bodega(tmp_path, "predict", "4", "--url", "http://127.0.0.1:1/predict", "--json")
    assert (nobody.returncode, "nobody answers" in json.loads(nobody.stdout)["error"]) == (1, True)
    for arguments, status, words in [
        (["--url", url, *shown], 1, "--cacert"),
        (["--url", url.replace("localhost", "127.0.0.1"), "--cacert", "root.pem"], 1, "is for others"),
        (["--url", plain.replace("http:", "https:")], 1, "write http://"),
        (["--url", url, "--cacert", "nothing.pem"], 2, "nothing.pem holds no certificates"),
        (["--url", url, "--cacert", "bodega.toml"], 2, "bodega.toml holds no certificates"),
        (["--url", plain, "--token-file", "nothing.token"], 2, "nothing.token"),
        (["--url", plain, "--header", "no colon"], 2, "is not a header"),
    ]:
        refused = bodega(tmp_path, "predict", "4", *arguments)
        assert (refused.returncode, words in refused.stderr) == (status, True), refused.stderr
        assert "nobody answers" not in refused.stderr


def test_what_becomes_of_a_request_for_a_model_is_explained(tmp_path: Path) -> None:
    (tmp_path / "bodega.toml").write_text(
        """
        [distributions.ml]
        behaviors = [{ path = "/predict", origin = { model = "fraud.onnx" } }]
        """
    )
    explained = bodega(tmp_path, "key", "https://shop.example.com/predict", "--method", "POST")
    assert (explained.returncode, "asks a model" in explained.stdout) == (0, True), explained.stderr


def test_a_file_declares_models_beside_sites(tmp_path: Path, command: Start) -> None:
    onnx_models.linear(tmp_path / "scores.onnx", [2.0])
    file = tmp_path / "bodega.toml"
    file.write_text(
        f"""
        [edge]
        listen = ["127.0.0.1:0"]
        [origins]
        fraud = {{ model = "{tmp_path}/scores.onnx", name = "fraud", version = "v3", max_batch = 8 }}
        [distributions.ml]
        behaviors = [
          {{ path = "/predict", methods = ["POST"], origin = "fraud" }},
          {{ answer = {{ status = 200, body = "a site" }} }},
        ]
        """
    )
    checked = bodega(tmp_path, "check", str(file))
    assert checked.returncode == 0, checked.stderr
    edge = command(str(file))
    assert {"model": "fraud", "version": "v3", "prediction": 6.0}.items() <= predict(edge.url, [3]).items()
    with urllib.request.urlopen(f"{edge.url}/predict", timeout=20) as response:
        assert response.read() == b"a site"


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path: Path) -> None:
    for arguments, words in [
        (["--model", "nothing.onnx"], ["nothing.onnx", "--model"]),
        (["--model", "bad.onnx"], ["bad.onnx"]),
        (["--model", "bad.onnx", "--origin", "http://127.0.0.1:1"], ["exclude each other"]),
        (["--model", "bad.onnx", "--ttl", "soon"], ["--ttl"]),
        (["--model", "bad.onnx", "--model", "bad.onnx"], ["--model: the same model is there twice"]),
    ]:
        (tmp_path / "bad.onnx").write_bytes(b"these are no weights")
        ended = bodega(tmp_path, "edge", *arguments, "--listen", ":0", "--admin", "off")
        assert ended.returncode != 0
        for word in words:
            assert word in ended.stderr, ended.stderr


def test_what_is_wrong_in_the_file_of_a_model_is_said_with_its_line(tmp_path: Path) -> None:
    onnx_models.linear(tmp_path / "weights.onnx", [2.0])
    (tmp_path / "model.toml").write_text('model = "weights.onnx"\ntll = "1m"\n')
    refused = bodega(tmp_path, "edge", "--model", ".", "--listen", "127.0.0.1:0")
    assert refused.returncode == 2
    assert 'model.toml:2: tll: "tll" is not known here' in refused.stderr
    assert 'did you mean "ttl"?' in refused.stderr
