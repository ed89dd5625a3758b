"""`bodega check`: is a file right, and what in it is probably not meant?"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bodega import certificates
from bodega.cli.certificate_table import certificate_as_json, certificate_table
from bodega.cli.output import advise as print_advice
from bodega.cli.output import fail, print_json, print_lines, problem_as_json
from bodega.config import Config, EdgeSettings, advise, advise_settings, read_config, settings_from
from bodega.errors import ConfigInvalid, Problem, SnapshotInvalid
from bodega.snapshot import check_models, compile_snapshot, validate, wrong_token_files

if TYPE_CHECKING:
    from bodega.certificates import Examined, Finding
    from bodega.errors import KeyPath
    from bodega.snapshot import Snapshot


def check(
    file: Annotated[Path, typer.Argument(help="The file.")] = Path("bodega.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Check a file, without running anything.

    Every error comes with its line, what was wrong and what would be right; then follows what is allowed but probably
    not meant. Certificates are looked at as clients do: how long they hold, for which hosts, their chain and key.
    Models are looked at where they are: the file, what it names beside itself, and whether a runner has a module.
    No model is loaded and no code of a runner runs: what is wrong within them shows when an edge starts.
    Files of tokens, and of the keys that sign them, are read as an edge reads them.
    The exit status is 0 where the file can be served, 2 where it cannot, or where clients refuse a certificate.

        bodega check

        bodega check shop.toml --json
    """
    try:
        config = read_config(file)
        settings = settings_from(config, os.environ)
        snapshot = _compile(config, file)
        examined = _examine(settings, config)
    except ConfigInvalid as error:
        if as_json:
            print_json(_report(file, error.problems, [], []))
        else:
            fail(error)
        raise typer.Exit(2) from None
    findings = certificates.findings_of(examined, config.declarations.hosts, strict_names=settings.tls_strict_names)
    problems = [_problem(config, each) for each in findings if each.weight == "error"]
    problems += [config.locate(each) for each in check_models(config.declarations)]
    problems += _wrong_token_files(config, snapshot)
    advice = [config.locate(each) for each in advise(config.declarations, os.environ)]
    advice += [config.locate(each.under("edge")) for each in advise_settings(settings)]
    advice += [_problem(config, each) for each in findings if each.weight == "warning"]
    if as_json:
        print_json(_report(file, problems, advice, examined))
    else:
        if examined:
            print_lines(certificate_table(examined))
        for each in advice:
            print_advice(each)
        if problems:
            fail(ConfigInvalid.of(problems))
        else:
            print_lines(_summary(file, config))
    if problems:
        raise typer.Exit(2)


def _examine(settings: EdgeSettings, config: Config) -> list[Examined]:
    now = datetime.datetime.now(datetime.UTC)
    try:
        if settings.tls_client_ca is not None:
            certificates.check_authorities(settings.tls_client_ca)
        # What is made for development is made by whoever uses it: a check writes nothing.
        if settings.tls is None or settings.tls == "dev":
            return []
        return [certificates.examine(each, now) for each in certificates.find_certificates(settings.tls)]
    except ConfigInvalid as error:
        raise config.located(error.under("edge")) from None


def _problem(config: Config, finding: Finding) -> Problem:
    return config.locate(Problem(finding.what, finding.hint, ("edge", "tls")))


def _compile(config: Config, file: Path) -> Snapshot:
    snapshot = compile_snapshot(config.declarations, environment=os.environ)
    try:
        validate(snapshot)
    except SnapshotInvalid as error:
        raise ConfigInvalid(error.what, hint=error.hint, file=str(file)) from None
    return snapshot


def _wrong_token_files(config: Config, snapshot: Snapshot) -> list[Problem]:
    wrong = wrong_token_files(snapshot)
    found = []
    for distribution in config.declarations.distributions:
        for index, behavior in enumerate(distribution.behaviors):
            path: KeyPath = ("distributions", distribution.name, "behaviors", index)
            named = {("tokens",): behavior.tokens, ("jwt", "keys"): None if behavior.jwt is None else behavior.jwt.keys}
            for place, file in named.items():
                if file is not None and file in wrong:
                    hint = "until that is right, no edge takes this configuration"
                    found.append(config.locate(Problem(f"{file}: {wrong[file]}", hint, (*path, *place))))
    return found


def _report(
    file: Path, problems: Sequence[Problem], advice: Sequence[Problem], examined: Sequence[Examined]
) -> dict[str, Any]:
    return {
        "file": str(file),
        "valid": not problems,
        "problems": [problem_as_json(each) for each in problems],
        "advice": [problem_as_json(each) for each in advice],
        "certificates": [certificate_as_json(each) for each in examined],
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
