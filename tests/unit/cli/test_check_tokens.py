from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.cli import main

DECLARED = """
[[distributions.shop.behaviors]]
origin = "http://127.0.0.1:9000"
authorization = "edge"
tokens = "clients.tokens"
[distributions.shop.behaviors.jwt]
keys = "issuer.jwks.json"
issuer = "https://id.example.com"
audience = "shop"
"""


def check(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bodega.toml").write_text(DECLARED)
    return tmp_path


def test_files_that_are_not_here_may_be_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [(each["what"], each["line"]) for each in report["advice"]] == [
        ("there is no file clients.tokens", 5),
        ("there is no file issuer.jwks.json", 7),
    ]


def test_files_that_no_edge_would_take_are_said_with_their_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "clients.tokens").write_text("secret\n")
    (folder / "issuer.jwks.json").write_text('{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}')
    assert check("--json") == 2
    said = capsys.readouterr().out
    report = json.loads(said)
    assert [(each["what"].split(";")[0], each["line"]) for each in report["problems"]] == [
        (
            "clients.tokens: line 1: a line is the SHA-256 of a token in 64 hexadecimal digits, and what it is for",
            5,
        ),
        ('issuer.jwks.json: the key "a" is a shared secret: who has it could sign', 7),
    ]
    assert "c2VjcmV0" not in said
    assert not report["valid"]


def test_files_that_an_edge_would_take_are_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "issuer.jwks.json").write_text(
        '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
    )
    (folder / "clients.tokens").write_text("")
    assert check() == 0
    assert "is right" in capsys.readouterr().out
