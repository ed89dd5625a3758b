"""What edges serve: published, compared, taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodega.client.answers import Configuration, Revision, read
from bodega.config import to_text
from bodega.distributions import Declarations, Distribution
from bodega.errors import ConfigInvalid, ControlRefused

if TYPE_CHECKING:
    from bodega.client.connection import Connection


class Configurations:
    """The configuration in force, and those before it.

    What is published is the text of a `bodega.toml` without ``[edge]``, a file of it as `Path`, or what was declared in
    Python.
    """

    def __init__(self, connection: Connection) -> None:
        """Keep whom to ask."""
        self._connection = connection

    def publish(
        self, declared: Declarations | Distribution | str | Path, *, comment: str = "", expects: int | None = None
    ) -> Revision:
        """Put another configuration in force on all edges.

        Args:
            declared: A text, a file, or nouns.
            comment: What is said of it.
            expects: The revision that is to be replaced; 0 if there is none yet.

        Raises:
            ConfigInvalid: If it cannot be used; then nothing changes.
            ControlRefused: If another revision than the expected one is in force (status 409).
        """
        return self._send(declared, {"comment": comment, "expects": expects})

    def validate(self, declared: Declarations | Distribution | str | Path, *, expects: int | None = None) -> Revision:
        """Let the control process check a configuration; return the revision it would be.

        Raises:
            ConfigInvalid: If it cannot be used.
        """
        return self._send(declared, {"expects": expects, "dry_run": True})

    def show(self, revision: int = 0) -> Configuration:
        """Show a configuration with its text; 0 is the one in force.

        Raises:
            ControlRefused: If there is none (status 404).
        """
        return read(Configuration, self._connection.ask("GET", f"/v1/configurations/{revision}", again=True))

    def history(self, limit: int = 50) -> list[Revision]:
        """List what was published, the newest first."""
        said = self._connection.ask("GET", f"/v1/configurations?limit={limit}", again=True)
        return [read(Revision, each) for each in said]

    def diff(self, revision: int, to: int = 0) -> str:
        """Say what is different in another revision (0: the one in force), as ``diff -u`` would."""
        return str(self._connection.ask("GET", f"/v1/configurations/{revision}/diff?to={to}", again=True))

    def roll_back(self, revision: int) -> Revision:
        """Put an earlier configuration in force again, as a new revision.

        Raises:
            ControlRefused: If there is none (status 404).
        """
        return _explained(
            lambda: read(Revision, self._connection.ask("POST", f"/v1/configurations/{revision}/roll-back")), None
        )

    def _send(self, declared: Declarations | Distribution | str | Path, more: dict[str, Any]) -> Revision:
        text, file = _text(declared)
        said = {"text": text, **{name: value for name, value in more.items() if value is not None}}
        return _explained(lambda: read(Revision, self._connection.ask("POST", "/v1/configurations", said)), file)


def _text(declared: Declarations | Distribution | str | Path) -> tuple[str, str | None]:
    match declared:
        case str():
            return declared, None
        case Path():
            try:
                return declared.read_text(), str(declared)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigInvalid(f"{declared}: {error}", file=str(declared)) from None
        case Distribution():
            return to_text(Declarations(distributions=[declared])), None
    return to_text(declared), None


def _explained(ask: Callable[[], Revision], file: str | None) -> Revision:
    """Tell what is wrong with a configuration by the name of the file that it came from."""
    try:
        return ask()
    except ControlRefused as error:
        if not error.problems:
            raise
        raise ConfigInvalid.of(problem.at(file or problem.file, problem.line) for problem in error.problems) from None
