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
        "scheme https",
        "host shop.example.com",
        "path /images/a.webp",
        "query w=200",
        "sent /%69mages/a.webp?w=200",
        "not sent parameter utm_source=x, header x-debug, cookie session",
    ):
        assert line in lines


def test_one_object_for_programs_in_which_spellings_are_one_key(capsys: pytest.CaptureFixture[str]) -> None:
    fingerprints = []
    for url in ("https://shop.example.com/images/~a?w=1", "https://SHOP.example.com/images/%7ea?w=1&x=2"):
        assert run(url, "--json") == 0
        fingerprints.append(json.loads(capsys.readouterr().out)["key"]["fingerprint"])
    assert fingerprints[0] == fingerprints[1]


def test_each_scheme_has_its_key_where_the_origin_is_told_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def keys() -> list[dict[str, str | None]]:
        read = []
        for scheme in ("https", "http"):
            assert run(f"{scheme}://shop.example.com/images/a", "--json") == 0
            read.append(json.loads(capsys.readouterr().out)["key"])
        return read

    https, http = keys()
    assert (https["scheme"], http["scheme"]) == ("https", "http")
    assert https["fingerprint"] != http["fingerprint"]
    edit = 'policy = "images"\nrequest_headers = { remove = ["Forwarded", "X-Forwarded-Proto"] }'
    (folder / "bodega.toml").write_text(FILE.replace('policy = "images"', edit))
    https, http = keys()
    assert https == http
    assert https["scheme"] is None


def test_a_request_that_needs_https_is_answered_without_a_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rule, does in (("redirect-to-https", "answer"), ("https-only", "refuse")):
        hosts = 'hosts = ["shop.example.com"]'
        (folder / "bodega.toml").write_text(FILE.replace(hosts, f'{hosts}\nviewer_protocol = "{rule}"'))
        assert run("http://shop.example.com/images/a", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["does"], report["reason"], report["key"]) == (does, "viewer-protocol", None)


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


def test_a_body_is_given_as_text_or_in_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FILE.replace('policy = "none"', 'body_key = "json"')
    (folder / "bodega.toml").write_text(text)
    (folder / "body.json").write_bytes(b'{"q": 1.0, "a": "\\u00e9"}')
    for body in ("@body.json", '{"a":"é","q":1}'):
        assert run("https://shop.example.com/search", "--body", body, "-H", "content-type: application/json") == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert 'body {"a":"é","q":1}' in lines
    assert run("https://shop.example.com/search", "--body", "@missing") != 0
    assert "missing" in capsys.readouterr().err


def test_what_is_wrong_with_the_body_is_not_said_of_the_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("https://shop.example.com/", "--body", "@nofile") == 2
    assert "error: --body: nofile: No such file" in capsys.readouterr().err
    assert run("https://shop.example.com/", "--header", "nothing") == 2
    assert 'error: --header: "nothing" is not a header' in capsys.readouterr().err
