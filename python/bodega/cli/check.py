"""`bodega check`: is a file right, and what in it is probably not meant?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bodega.cli.output import advise as print_advice
from bodega.cli.output import fail, print_json, print_lines, problem_as_json
from bodega.config import Config, advise, read_config, with_environment
from bodega.errors import ConfigInvalid, Problem, SnapshotInvalid
from bodega.snapshot import compile_snapshot, validate


def check(
    file: Annotated[Path, typer.Argument(help="The file.")] = Path("bodega.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Check a file, without running anything.

    Every error comes with its line, what was wrong and what would be right; then follows what is allowed but probably
    not meant. The exit status is 0 where the file can be served, 2 where it cannot.

        bodega check

        bodega check shop.toml --json
    """
    try:
        config = read_config(file)
        with_environment(config.settings(), os.environ)
        _compile(config, file)
    except ConfigInvalid as error:
        if as_json:
            print_json(_report(file, error.problems, []))
        else:
            fail(error)
        raise typer.Exit(2) from None
    advice = [config.locate(each) for each in advise(config.declarations, os.environ)]
    if as_json:
        print_json(_report(file, (), advice))
        return
    for each in advice:
        print_advice(each)
    print_lines(_summary(file, config))


def _compile(config: Config, file: Path) -> None:
    try:
        validate(compile_snapshot(config.declarations, environment=os.environ))
    except SnapshotInvalid as error:
        raise ConfigInvalid(error.what, hint=error.hint, file=str(file)) from None


def _report(file: Path, problems: tuple[Problem, ...], advice: list[Problem]) -> dict[str, Any]:
    return {
        "file": str(file),
        "valid": not problems,
        "problems": [problem_as_json(each) for each in problems],
        "advice": [problem_as_json(each) for each in advice],
    }


def _summary(file: Path, config: Config) -> str:
    declared = config.declarations
    n_behaviors = sum(len(each.behaviors) for each in declared.distributions)
    counts = (
        (len(declared.distributions), "distribution"),
        (n_behaviors, "behavior"),
        (len(declared.origins), "origin"),
        (len(declared.policies), "policy"),
    )
    return f"{file} is right: " + ", ".join(_counted(count, word) for count, word in counts)


def _counted(count: int, word: str) -> str:
    if count == 1:
        return f"1 {word}"
    return f"{count} {word.removesuffix('y')}ies" if word.endswith("y") else f"{count} {word}s"
