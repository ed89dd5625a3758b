"""`bodega up`: three real edges on this machine, before a real site and a real bucket."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from bodega.errors import ConfigInvalid
from bodega.units import UnitInvalid, parse_size
from bodega.up.control_process import INSTALL
from bodega.up.demonstration import ANY_PORTS, Demonstration, Options
from bodega.up.follow import follow
from bodega.up.model_file import cached_model_path
from bodega.up.places import ONE_WAY_DELAY_MS
from bodega.up.predictors import BREAST_CANCER, MAGIKA
from bodega.up.premises import FILM_PATH, MODEL_PATH
from bodega.up.visit import JsonReport, Record, TableReport, figures, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_INTERRUPTED = 130
_WIDTH = 132
_ENDED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Your own bodega.toml, on three local edges. Without it: a store with site, bucket and model."
        ),
    ] = None,
    make_visit: Annotated[
        bool, typer.Option("--try", help="Make a visit by itself, compare it with the mission, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    port_base: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_530,
            help="Port of the first edge; the others follow, then those for HTTPS.  "
            "[default: 8080 and 8443, or free ones]",
        ),
    ] = None,
    memory: Annotated[str, typer.Option(help="Memory tier of each edge.")] = "512MB",
    directory: Annotated[
        Path | None,
        typer.Option(help="Lay out site and buckets here, and keep them.  [default: a temporary directory]"),
    ] = None,
    distance: Annotated[
        bool, typer.Option("--distance/--no-distance", help="Put two of the edges far away from the origin.")
    ] = True,
) -> None:
    """Run three edges on this machine, before a real site, a real bucket and a model file of 109 MB.

    Tokyo and London are far away from the origin, Virginia is near: one sees what a CDN is for. Each edge also answers
    predictions by two models, one made of real cases and one of a package, with the extras `models` and `demo`.
    Ctrl-C stops everything and leaves nothing behind but the model file, in the cache directory, and the authority of
    certificates for development, in the state directory, so that it has to be trusted only once.
    """
    # Lines in a file or a pipe are not folded where some terminal would end.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    _check(file, memory, make_visit=make_visit)
    if make_visit and port_base is None:
        port_base = ANY_PORTS
    options = Options(file=file, port_base=port_base, memory=memory, directory=directory, distance=distance)
    status = 0
    with _ended_by_signals(), Demonstration(options) as demonstration:
        try:
            with _model_progress(console, quiet=as_json) as progress:
                demonstration.start(progress)
            if as_json:
                _json_writer(console)(_started(demonstration))
            if make_visit:
                status = 0 if _try(demonstration, console, as_json=as_json) else 1
            else:
                if not as_json:
                    _greet(demonstration, console)
                follow(demonstration, console, as_json=as_json)
        except KeyboardInterrupt:
            if not as_json:
                console.print("Stopping.")
            status = _INTERRUPTED if make_visit else 0
        finally:
            # From here on everything is being tidied up anyway, and nobody shall cut that short.
            _ignore_signals()
    if status:
        raise typer.Exit(status)


def _check(file: Path | None, memory: str, *, make_visit: bool) -> None:
    if file is not None and make_visit:
        raise ConfigInvalid("a visit needs the store, and not a file of yours", hint="leave out one of FILE and --try")
    if file is not None and not file.is_file():
        raise ConfigInvalid(f"there is no file {file}", hint="`bodega init` writes one to start from")
    try:
        parse_size(memory)
    except UnitInvalid as error:
        raise ConfigInvalid(f"--memory: {error}") from error


def _try(demonstration: Demonstration, console: Console, *, as_json: bool) -> bool:
    assert demonstration.origins is not None
    report = JsonReport(_json_writer(console)) if as_json else TableReport(console)
    record = Record(report)
    before = demonstration.origins.sent().bytes_sent
    assert demonstration.authority is not None
    fleet = None if demonstration.control is None else demonstration.control.fleet
    tell(
        demonstration.edges,
        demonstration.origins,
        demonstration.authority,
        fleet,
        record,
        demonstration.predictors,
        demonstration.no_predictors,
    )
    demonstration.check()
    origin_bytes = demonstration.origins.sent().bytes_sent - before
    table = figures(record.by_step, origin_bytes=origin_bytes, distance=demonstration.options.distance)
    is_as_it_should_be = record.is_as_it_should_be and all(figure.is_reached is not False for figure in table)
    report.end(table, is_as_it_should_be=is_as_it_should_be)
    return is_as_it_should_be


def _started(demonstration: Demonstration) -> str:
    edges = [
        {
            "name": edge.place.name,
            "region": edge.place.region,
            "url": f"{edge.url}/",
            "tls_url": f"{edge.tls_url}/",
            "admin": edge.admin.address,
            "pid": edge.pid,
        }
        for edge in demonstration.edges
    ]
    authority = demonstration.authority
    control = demonstration.control
    said = {
        "kind": "started",
        "edges": edges,
        "authority": str(authority) if authority else None,
        "control": None if control is None else {"url": control.url, "pid": control.program.pid},
        "models": [] if demonstration.predictors is None else [BREAST_CANCER, MAGIKA],
        "no_models": demonstration.no_predictors or None,
    }
    return json.dumps(said)


def _greet(demonstration: Demonstration, console: Console) -> None:
    console.print()
    for edge in demonstration.edges:
        far = ""
        if demonstration.origins is not None:
            is_far = edge.place.is_far and demonstration.options.distance
            far = f"the origin is {ONE_WAY_DELAY_MS} ms away, one way" if is_far else "next to the origin"
        console.print(
            f"  [bold]{edge.place.title:<9}[/] {edge.url}/  {edge.tls_url}/  [dim]{edge.place.region:<15} {far}[/]",
            highlight=False,
        )
    console.print()
    if demonstration.authority is not None:
        first = demonstration.edges[0].tls_url
        console.print("HTTPS and HTTP/2 go by a certificate that was made here. This trusts it:", highlight=False)
        console.print(f"  curl -sI --cacert {demonstration.authority} {first}/", highlight=False, soft_wrap=True)
    if demonstration.origins is not None:
        first = demonstration.edges[0].url
        console.print(
            "Click about: the bar at the foot of each page says where it came from. Then ask by hand:", highlight=False
        )
        for path in ("/images/apples/large.jpg", FILM_PATH, MODEL_PATH):
            console.print(f"  curl -s -o /dev/null -D - {first}{path}", highlight=False, soft_wrap=True)
        console.print(
            f"The pages lie in {demonstration.origins.premises.site}: change one and see when it arrives.",
            soft_wrap=True,
        )
        models = demonstration.predictors
        if models is None:
            console.print(f"No edge runs a model: {demonstration.no_predictors}.", soft_wrap=True, markup=False)
        else:
            console.print("Every edge runs two models, and keeps what they have predicted:", highlight=False)
            for line in (
                f"bodega predict --url {first}/predict - < {models.case}",
                f"curl -s {first}/v2/models/{BREAST_CANCER}",
            ):
                console.print(f"  {line}", highlight=False, soft_wrap=True)
        console.print(f"The model file stays in {cached_model_path()}.", soft_wrap=True)
    if demonstration.control is None:
        console.print(f"No control process runs: {INSTALL}", highlight=False, markup=False)
        console.print("In another terminal, `bodega status` and `bodega purge` find these edges, too.")
    else:
        console.print(f"\nThe edges follow the control process at {demonstration.control.url}. In another terminal:")
        for line in (
            "bodega edges",
            "bodega purge all --yes --wait",
            f"bodega publish {demonstration.file}",
            "bodega status",
        ):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops everything.\n")


@contextmanager
def _model_progress(console: Console, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar while the model file is written, which happens once on a machine."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: list[TaskID] = []

        def progress(n_written: int, n_bytes: int) -> None:
            if not tasks:
                if not console.is_terminal:
                    console.print(
                        f"Writing a model file of {n_bytes / 1e6:.0f} MB, once: {cached_model_path()}", soft_wrap=True
                    )
                tasks.append(bars.add_task("Writing a model file, once", total=n_bytes))
            bars.update(tasks[0], completed=n_written)

        yield progress


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end everything in the same way as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form of a handler
        _ignore_signals()
        raise KeyboardInterrupt

    before = [signal.signal(each, interrupt) for each in _ENDED_BY]
    try:
        yield
    finally:
        for each, handler in zip(_ENDED_BY, before, strict=True):
            signal.signal(each, handler)


def _ignore_signals() -> None:
    for each in _ENDED_BY:
        signal.signal(each, signal.SIG_IGN)


def _json_writer(console: Console) -> Callable[[str], object]:
    def write(line: str) -> None:
        console.file.write(line + "\n")
        console.file.flush()

    return write
