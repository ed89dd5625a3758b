"""Which control process is meant, and which token goes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bodega.client import find_control
from bodega.errors import ConfigInvalid
from bodega.runtime import recorded

HERE = "http://127.0.0.1:9280"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"BODEGA_RUNTIME_DIR": str(tmp_path / "run")}


def written(path: Path, token: str) -> str:
    path.write_text(f"{token}\n")
    return str(path)


def test_nothing_names_one_and_none_runs(environment: dict[str, str]) -> None:
    assert find_control(environment) is None


def test_the_token_is_the_nearest_that_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    with recorded(environment, HERE, Path(written(tmp_path / "first", "of-record"))):
        found = find_control(environment)
        assert found is not None
        assert (found.url, found.token) == (HERE, "of-record")
        environment["BODEGA_CONTROL_TOKEN_FILE"] = written(tmp_path / "file", "of-file")
        environment["BODEGA_CONTROL"] = HERE
        for name, value, token in (
            ("BODEGA_CONTROL", HERE, "of-file"),
            ("BODEGA_TOKEN", "of-variable", "of-variable"),
        ):
            environment[name] = value
            found = find_control(environment)
            assert found is not None
            assert found.token == token
        found = find_control(environment, token_file=written(tmp_path / "named", "of-option"))
        assert found is not None
        assert found.token == "of-option"


def test_the_token_of_what_runs_here_goes_nowhere_else(environment: dict[str, str], tmp_path: Path) -> None:
    with recorded(environment, HERE, Path(written(tmp_path / "first", "of-record"))):
        found = find_control(environment, url="http://127.0.0.1:9281")
        assert found is not None
        assert found.token is None


def test_a_token_does_not_go_in_the_clear(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="would show the token"):
        find_control(environment, url="http://control.example.com", token="t")
    assert find_control(environment, url="http://control.example.com", token="t", insecure=True) is not None


@pytest.mark.parametrize("host", ["127.evil.example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]"])
def test_what_only_looks_like_this_machine_is_another(environment: dict[str, str], host: str) -> None:
    with pytest.raises(ConfigInvalid, match="would show the token"):
        find_control(environment, url=f"http://{host}:9280", token="t")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_to_this_machine_it_may_go(environment: dict[str, str], host: str) -> None:
    assert find_control(environment, url=f"http://{host}:9280", token="t") is not None


def test_a_file_that_is_not_there_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    environment |= {"BODEGA_CONTROL": HERE, "BODEGA_CONTROL_TOKEN_FILE": str(tmp_path / "none")}
    with pytest.raises(ConfigInvalid, match=r"none: .*No such file"):
        find_control(environment)
