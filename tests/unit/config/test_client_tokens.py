from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bodega import Behavior
from bodega.cli import main
from bodega.config import add_client_token
from bodega.errors import ConfigInvalid


def test_the_file_has_a_line_for_each_token_and_no_token(tmp_path: Path) -> None:
    file = tmp_path / "clients.tokens"
    tokens = {name: add_client_token(file, name) for name in ("shop", "the app")}
    assert len(set(tokens.values())) == len(tokens)
    digests = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}
    assert file.read_text() == "".join(f"{digest} {name}\n" for name, digest in digests.items())
    # A last line that somebody wrote by hand need not have an end.
    file.write_text("# by hand")
    add_client_token(file, "late")
    assert file.read_text().splitlines()[0] == "# by hand"


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a # b"])
def test_a_name_that_would_not_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="says nothing"):
        add_client_token(tmp_path / "clients.tokens", name)


def test_the_command_tells_the_token_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "clients.tokens"
    with pytest.raises(SystemExit) as ended:
        main(("tokens", "add", str(file), "shop"))
    assert not ended.value.code
    token = capsys.readouterr().out.strip()
    assert file.read_text() == f"{hashlib.sha256(token.encode()).hexdigest()} shop\n"


def test_what_does_not_go_together_is_said() -> None:
    for given, what in [
        ({"authorization": "edge"}, "nobody could ask"),
        ({"tokens": "a"}, "tokens that the edge checks"),
        ({"authorization": "key", "forward_authorization": True}, "tokens that the edge checks"),
        ({"authorization": "jwt"}, "no way to share"),
        ({"authorization": "edge", "tokens": ""}, "names no file"),
    ]:
        with pytest.raises(ConfigInvalid, match=what):
            Behavior(origin="https://www.example.com", **given)  # type: ignore[arg-type]
