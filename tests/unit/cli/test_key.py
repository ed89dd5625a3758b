from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.cli import main

FILE = """
[origins]
shop = "http://127.0.0.1:9000"

[policies.images]
key = { query = ["w"] }

[distributions.shop]
hosts = ["shop.example.com"]

[[distributions.shop.behaviors]]
path = "/images/*"
origin = "shop"
policy = "images"

[[distributions.shop.behaviors]]
origin = "shop"
policy = "none"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bodega.toml").write_text(FILE)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(("key", *arguments))
    code = ended.value.code
    assert isinstance(code, int | None)
    return code or 0


def test_the_key_and_what_made_it(capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://Shop.example.com:443/%69mages/a.webp?utm_source=x&w=200"
    assert run(url, "--header", "X-Debug: 1", "--header", "Cookie: session=1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "distribution shop",
        "behavior shop/0 /images/*",
        "policy images",
        "host shop.example.com",
        "path /images/a.webp",
        "query w=200",
        "sent /%69mages/a.webp?w=200",
        "not sent parameter utm_source=x, header x-debug, cookie session",
    ):
        assert line in lines


def test_one_object_for_programs_in_which_spellings_are_one_key(capsys: pytest.CaptureFixture[str]) -> None:
    fingerprints = []
    for url in ("https://shop.example.com/images/~a?w=1", "http://SHOP.example.com/images/%7ea?w=1&x=2"):
        assert run(url, "--json") == 0
        fingerprints.append(json.loads(capsys.readouterr().out)["key"]["fingerprint"])
    assert fingerprints[0] == fingerprints[1]


def test_what_is_passed_or_refused_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("https://shop.example.com/account", "--json") == 0
    passed = json.loads(capsys.readouterr().out)
    assert (passed["does"], passed["reason"], passed["key"]) == ("pass", "policy-none", None)
    assert run("https://other.example.com/", "--json") == 0
    refused = json.loads(capsys.readouterr().out)
    assert (refused["does"], refused["reason"], refused["sent"]) == ("refuse", "unknown-host", None)


def test_what_a_newcomer_gets_wrong_first_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("shop.example.com/a") == 2
    assert 'did you mean "https://shop.example.com/a"?' in capsys.readouterr().err
    assert run("https://shop.example.com/a", "--header", "Accept") == 2
    assert 'write it as "Name: value"' in capsys.readouterr().err
