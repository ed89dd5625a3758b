from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.certificates import DAY, NOW, Made, make_authority

from bodega.cli import main

DECLARED = """
[edge]
tls = "certificates"
[distributions.shop]
hosts = ["shop.example.com", "new.example.com"]
behaviors = [ { origin = "http://127.0.0.1:9000" } ]
"""


@pytest.fixture
def root() -> Made:
    return make_authority("Our Authority")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "certificates").mkdir()
    (tmp_path / "bodega.toml").write_text(DECLARED)
    return tmp_path / "certificates"


def check(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    return int(ended.value.code or 0)


def test_certificates_are_shown_as_a_table(folder: Path, root: Made, capsys: pytest.CaptureFixture[str]) -> None:
    root.issue("shop.example.com").write(folder, "a")
    root.issue("new.example.com", "b.example.com", "c.example.com", "d.example.com").write(folder, "b")
    assert check() == 0
    said = capsys.readouterr()
    assert said.err == ""
    until = f"{NOW + 90 * DAY:%Y-%m-%d}"
    names = "new.example.com, b.example.com, c.example.com and 1 more"
    assert [line.split("  ") for line in re.sub(" {3,}", "  ", said.out).splitlines()] == [
        ["certificate", "for", "until", "key", "issued by"],
        ["certificates/a.pem", "shop.example.com", until, "ECDSA P-256", "Our Authority"],
        ["certificates/b.pem", names, until, "ECDSA P-256", "Our Authority"],
        ["names that none has are shown certificates/a.pem"],
        ["bodega.toml is right: 1 distribution, 1 behavior, 0 origins, 0 policies"],
    ]


def test_what_clients_will_refuse_is_a_note_and_what_they_refuse_an_error(
    folder: Path, root: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    root.issue("shop.example.com", begins=NOW - 80 * DAY, ends=NOW + 10 * DAY).write(folder, "a")
    assert check() == 0
    said = capsys.readouterr().err
    assert f"note: bodega.toml:3: edge.tls: certificates/a.pem: expires in 9 days, on {NOW + 10 * DAY:%Y-%m-%d}" in said
    assert "no certificate is for new.example.com: clients are shown that of shop.example.com" in said
    root.issue("shop.example.com", begins=NOW - 10 * DAY, ends=NOW - DAY).write(folder, "a")
    assert check() == 2
    said = capsys.readouterr()[1]
    assert "error: bodega.toml:3: edge.tls: certificates/a.pem: expired 1 day ago" in said


def test_a_program_gets_the_same(folder: Path, root: Made, capsys: pytest.CaptureFixture[str]) -> None:
    root.issue("shop.example.com", begins=NOW - 10 * DAY, ends=NOW - DAY).write(folder, "a")
    assert check("--json") == 2
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is False
    assert [each["line"] for each in report["problems"]] == [3]
    assert "new.example.com" in report["advice"][0]["what"]
    [certificate] = report["certificates"]
    assert certificate["certificate"] == "certificates/a.pem"
    assert (certificate["names"], certificate["issuer"]) == (["shop.example.com"], "Our Authority")
    assert certificate["not_after"] == (NOW - DAY).isoformat()
    assert [each["weight"] for each in certificate["findings"]] == ["error"]


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ('tls = "certificates"', "bodega.toml:3: edge.tls[0]: certificates: no certificate is in this folder"),
        (
            'tls = "dev"\ntls_client_ca = "none.pem"\ntls_client_auth = "required"',
            "bodega.toml:4: edge.tls_client_ca: none.pem: there is no such file",
        ),
    ],
)
def test_files_that_are_missing_are_named_with_the_line(
    folder: Path, edge: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bodega.toml").write_text(DECLARED.replace('tls = "certificates"', edge))
    assert check() == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_a_door_without_a_certificate_beside_one_that_needs_it_is_pointed_out(
    folder: Path, root: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    root.issue("shop.example.com", "new.example.com").write(folder, "a")
    Path("clients.pem").write_bytes(root.pem)
    asks = 'tls_client_ca = "clients.pem"\ntls_client_auth = "required"\n'
    for listen, pointed_out in [('["127.0.0.1:80"]', False), ("[]", False), ('["0.0.0.0:80"]', True)]:
        Path("bodega.toml").write_text(DECLARED.replace("[edge]", f"[edge]\nlisten = {listen}\n{asks}"))
        assert check() == 0
        said = capsys.readouterr().err
        note = "note: bodega.toml:3: edge.listen: clients need a certificate for TLS, and none at 0.0.0.0:80"
        assert (note in said) == pointed_out


def test_a_check_makes_no_certificate_for_development(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("bodega.toml").write_text(DECLARED.replace('"certificates"', '"dev"'))
    assert check() == 0
    assert not (tmp_path / "state").exists()
