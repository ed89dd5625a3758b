from __future__ import annotations

import json
from pathlib import Path

import pytest

from bodega.cli import main
from bodega.cli.init import STARTING_FILE
from bodega.config import EdgeSettings, advise, option_name, parse_config
from bodega.distributions.read import documented_fields


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BODEGA_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("BODEGA_CONTROL", raising=False)
    monkeypatch.delenv("BODEGA_TOKEN", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int | None)
    return code or 0


def test_without_file_and_flags_the_ways_to_begin_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edge") == 2
    said = capsys.readouterr().err
    for way in ("bodega init", "--origin", "bodega up"):
        assert way in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--origin", "localhost:9000"], "did you mean `http://localhost:9000`?"),
        (["--origin", "http://localhost:9000", "--ttl", "60"], '--ttl: 60 has no unit\n  add one: "60s"'),
        (["--ttl", "60s"], "`--ttl` goes with `--origin`"),
        (["shop.toml", "--origin", "http://x"], "exclude each other"),
        (["shop.toml"], "there is no such file\n  `bodega init shop.toml` writes one"),
        (["--origin", "http://x", "--memory", "10"], "--memory: 10 has no unit"),
        (["--origin", "http://x", "--listen", "8080"], 'did you mean "127.0.0.1:8080"?'),
        (["--origin", "http://x", "--access-log-format", "xml"], '--access-log-format: "xml"'),
    ],
)
def test_what_a_newcomer_gets_wrong_first_is_explained(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("edge", *arguments) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert said.out == ""


def test_a_password_that_was_typed_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edge", "--origin", "https://ann:hunter2@www.example.com") == 2
    assert "hunter2" not in capsys.readouterr().err


def test_a_file_without_distributions_serves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bodega.toml").write_text('[edge]\nmemory = "1GB"\n')
    assert run("edge") == 2
    assert "add [distributions.NAME]" in capsys.readouterr().err


def test_every_setting_is_an_option_that_the_help_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edge", "--help") == 0
    said = capsys.readouterr().out
    for name in documented_fields(EdgeSettings):
        assert f"{option_name(name)} " in said
    assert "BODEGA_MEMORY" in said.replace("\n", "")


@pytest.mark.parametrize("command", ["edge", "check", "init", "purge", "publish", "audit", "status", "version"])
def test_the_help_of_each_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert len(capsys.readouterr().out) > 200


def test_the_help_of_the_demonstration_names_what_it_serves(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("up", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("real site", "bucket", "two models", "extras `models` and `demo`"):
        assert words in said


def test_the_starting_file_is_right_and_gives_no_reason_for_advice() -> None:
    config = parse_config(STARTING_FILE)
    assert advise(config.declarations, {}) == []
    assert [each.name for each in config.declarations.distributions] == ["shop"]


def test_the_starting_file_stays_right_where_its_examples_are_taken_up() -> None:
    lines = STARTING_FILE.splitlines()
    taken_up = [
        line.replace("# ", "", 1)
        if line.lstrip().startswith(("# {", "# images", "# fraud", "# key", "# access_log", "# tls"))
        else line
        for line in lines
    ]
    config = parse_config("\n".join(taken_up))
    assert config.settings().tls == "dev"
    assert set(config.declarations.origins) == {"site", "images", "fraud"}
    assert len(config.declarations.distributions[0].behaviors) == 5


def test_a_starting_file_is_written_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init") == 0
    assert (folder / "bodega.toml").read_text() == STARTING_FILE
    assert run("init") == 1
    assert "is there already" in capsys.readouterr().err
    assert run("init", "-") == 0
    assert capsys.readouterr().out == STARTING_FILE


def test_a_file_that_is_right_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    run("init")
    assert run("check") == 0
    assert "bodega.toml is right: 1 distribution, 2 behaviors, 1 origin, 1 policy" in capsys.readouterr().out


def test_a_file_that_is_wrong_is_explained_for_people_and_for_programs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.toml").write_text('[edge]\nmemry = "1GB"\n[policies.a]\ndefault_ttl = 24\n')
    assert run("check", "x.toml") == 2
    said = capsys.readouterr().err
    assert 'error: x.toml:2: edge.memry: "memry" is not known here\n  did you mean "memory"?' in said
    assert "x.toml:4: policies.a.default_ttl: 24 has no unit" in said
    assert run("check", "x.toml", "--json") == 2
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is False
    assert [problem["line"] for problem in report["problems"]] == [2, 4]
    assert report["problems"][0]["path"] == ["edge", "memry"]


def test_advice_is_given_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    (folder / "x.toml").write_text('[distributions.a]\nbehaviors = [\n  { path = "/a", origin = "s3://abc" },\n]\n')
    assert run("check", "x.toml") == 0
    said = capsys.readouterr()
    assert "note: x.toml:3: distributions.a.behaviors[0].origin: no credentials" in said.err
    assert "x.toml is right" in said.out
    assert run("check", "x.toml", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is True
    assert [each["line"] for each in report["advice"]] == [2, 3]


def test_a_variable_that_cannot_be_used_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODEGA_THREADS", "many")
    run("init")
    assert run("check") == 2
    assert 'BODEGA_THREADS: "many" is not a whole number' in capsys.readouterr().err


@pytest.mark.parametrize("command", ["purge", "invalidate"])
def test_a_selector_that_means_nothing_is_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "shop.example.com/a") == 2
    assert 'did you mean "https://shop.example.com/a"?' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["purge", "all"], ["status"]])
def test_without_a_running_edge_it_is_said_how_to_name_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 1
    assert "--edge 127.0.0.1:9180" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["edges"], ["edges", "invite", "a"], ["publish", "-"], ["tokens", "ls"], ["revisions", "ls"], ["audit"]],
)
def test_without_a_control_process_it_is_said_how_to_name_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 1
    assert "BODEGA_CONTROL" in capsys.readouterr().err


def test_a_token_on_the_command_line_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edges", "ls", "--control", "http://control.example.com", "--token", "bdg_x") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: a token on the command line is seen by others" in said
    assert "plain HTTP to control.example.com would show the token" in said
    assert "bdg_x" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["purge"], "nothing is named that could be forgotten"),
        (["purge", "--from", "nowhere.txt"], "nowhere.txt"),
        (["purge", "tag:a", "--timeout", "30"], "--timeout"),
        (["purge", "--status", "x", "tag:a"], "has its selectors"),
        (["purge", "status", "x"], "only a control process knows"),
        (["tokens", "make", "ci"], "BODEGA_CONTROL"),
    ],
)
def test_what_cannot_be_meant_is_explained(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) in (1, 2)
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_edge_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", "--edge", "unix:/no/such.sock") == 1
    assert "no edge answers at unix:/no/such.sock" in capsys.readouterr().err


def test_the_version_is_told_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("version") == 0
    assert capsys.readouterr().out.startswith("bodega ")
    assert run("version", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) == {"version", "python", "native"}


def test_a_command_that_does_not_exist_is_refused() -> None:
    assert run("serve") == 2
