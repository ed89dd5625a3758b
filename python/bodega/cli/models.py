"""`bodega models`: the models of the edges that run here, and other versions of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bodega.cli.model_holders import ModelsAsked, ask_models
from bodega.cli.output import fail, print_json, print_lines, print_table, say, table
from bodega.cli.purge import running_edges
from bodega.edge import AdminClient, ModelSwap, ModelVersion
from bodega.errors import BodegaError, ConfigInvalid, ModelRefused
from bodega.units import round_size

_Edge = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Only the edge with this admin listener.  \\[default: all of yours here]"),
]
_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]

_HELP = """\
The models of the edges that run here, and other versions of them. Alone it lists them.

    bodega models

    bodega models load fraud-v2.onnx --name fraud --version v2

    bodega models unload fraud@v2
"""


def models() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(help=_HELP)

    @app.callback(invoke_without_command=True)
    def run(context: typer.Context, edge: _Edge = None, as_json: _Json = False) -> None:
        if context.invoked_subcommand is None:
            ls(edge, as_json)

    app.command("ls")(ls)
    app.command("load")(load)
    app.command("unload")(unload)
    return app


def ls(edge: _Edge = None, as_json: _Json = False) -> None:
    """List the models: which version answers, since when, and how often it has run.

    bodega models ls --json | jq -r 'select(.default) | .version'
    """
    edges = running_edges(edge)
    whose = ("edge", "region", "pid") if len(edges) > 1 else ()
    rows = table(*whose, "model", "version", "state", "loaded", ">size", ">runs", ">rows", ">rows/run", "file", "note")
    n_models, failures = 0, False
    for each in edges:
        try:
            stats, models = each.stats(), each.models()
        except BodegaError as error:
            failures = True
            _fail(each, error, as_json)
            continue
        n_models += len(models)
        for model in models:
            if as_json:
                named = {"address": each.address, "pid": each.pid, "edge": stats.name, "region": stats.region}
                print_json({**named, **model.to_dict()})
            else:
                named_by = (stats.name, stats.region, str(each.pid or "")) if whose else ()
                rows.add_row(*named_by, *_row(model))
    if n_models and not as_json:
        print_table(rows)
    if failures:
        raise typer.Exit(1)
    if not n_models and not as_json:
        say("note", "no models are loaded; `bodega edge --model FILE` serves one")


def load(
    file: Annotated[Path, typer.Argument(help="The model, in the ONNX format, as the edge reaches it.")],
    name: Annotated[
        str | None, typer.Option(help="Which model it is a version of.  \\[default: the only one, or as the file]")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(help="What the version is called.  \\[default: the beginning of the digest of its contents]"),
    ] = None,
    edge: _Edge = None,
    as_json: _Json = False,
) -> None:
    """Put another version of a model in force, while the edge answers.

    It is loaded beside the old one and has to answer its golden examples, on every edge here that has the model. Once
    this command ends the old one is gone, and no prediction of it is left. A file that cannot be loaded changes
    nothing, and the exit code is 1.

        bodega models load fraud-v2.onnx --name fraud --version v2

        curl -s http://127.0.0.1:8080/predict -d '{"features": [0.5, 1.2, 3]}'
    """
    if not file.exists():
        raise ConfigInvalid(f"there is no {file}", hint="name a model in the ONNX format", path=("FILE",))

    def having(asked: ModelsAsked) -> tuple[str, Sequence[AdminClient]]:
        named = name or asked.name_for(file)
        return named, asked.having(named, lambda model: model.name == named)

    _change(edge, as_json, having, lambda client, named: client.update_model(named, file.absolute(), version=version))


def unload(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Which one; without a version the default.")],
    edge: _Edge = None,
    as_json: _Json = False,
) -> None:
    """Take a version of a model out of force, until it is loaded again or the edge is started anew.

    Every edge here that has it does so. Where it was the only version, requests for the model get 404.

        bodega models unload fraud@v1
    """
    name, _, version = model.partition("@")

    def having(asked: ModelsAsked) -> tuple[str, Sequence[AdminClient]]:
        def is_meant(each: ModelVersion) -> bool:
            return each.name == name and (each.version == version if version else each.version != "")

        return name, asked.having(model, is_meant)

    _change(edge, as_json, having, lambda client, named: client.unload_model(named, version or None))


def _change(
    edge: str | None,
    as_json: bool,
    having: Callable[[ModelsAsked], tuple[str, Sequence[AdminClient]]],
    change: Callable[[AdminClient, str], ModelSwap],
) -> None:
    asked = ask_models(running_edges(edge))
    for client, failure in asked.failures:
        _fail(client, failure, as_json)
    try:
        named, clients = having(asked)
    except ModelRefused as error:
        if not as_json:
            raise
        print_json({"error": str(error)})
        raise typer.Exit(1) from None
    n_failures = len(asked.failures)
    for client in clients:
        try:
            swap = change(client, named)
        except BodegaError as error:
            n_failures += 1
            _fail(client, error, as_json)
            continue
        if as_json:
            print_json({"address": client.address, **swap.to_dict()})
        else:
            print_lines(f"{_said(swap)} ({client.address})")
    if n_failures:
        raise typer.Exit(1)


def _fail(client: AdminClient, error: BodegaError, as_json: bool) -> None:
    if as_json:
        print_json({"address": client.address, "error": str(error)})
    else:
        fail(error)


def _said(swap: ModelSwap) -> str:
    late = "" if swap.drained else ", which had not answered all in its time"
    if swap.version is None:
        return f"{swap.model}: {swap.before} is unloaded{late}"
    if swap.before is None:
        return f"{swap.model}: {swap.version} answers"
    return f"{swap.model}: {swap.version} answers in place of {swap.before}{late}"


def _row(model: ModelVersion) -> tuple[str | Text, ...]:
    loaded = model.loaded
    return (
        model.name,
        model.version,
        _state(model.state, is_default=model.default),
        f"{loaded.astimezone():%Y-%m-%d %H:%M:%S}" if loaded else "",
        round_size(model.bytes),
        f"{model.runs:,}",
        f"{model.rows:,}",
        f"{model.rows / model.runs:.1f}" if model.runs else "",
        model.path,
        _note(model),
    )


def _state(state: str, *, is_default: bool) -> Text:
    if state != "ready":
        return Text(state, style="yellow")
    return Text("default" if is_default else state, style="green" if is_default else "")


def _note(model: ModelVersion) -> str:
    notes = ["set over the configuration"] if model.set_over else []
    notes += ["rows are not batched: in a batch they did not come out as alone"] if model.mixing else []
    if model.process_bytes is not None:
        notes.append(f"in a process of {round_size(model.process_bytes)}")
    if model.trial_bytes is not None:
        notes.append(f"took {round_size(model.trial_bytes)} on trial")
    if model.restarts:
        notes.append("started again once" if model.restarts == 1 else f"started again {model.restarts} times")
    return "; ".join(notes)
