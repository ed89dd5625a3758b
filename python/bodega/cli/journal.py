"""`bodega journal`: looks at a journal, copies it, and puts a copy in its place."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bodega.cli.output import print_columns, print_json, print_lines, when
from bodega.errors import ConfigInvalid
from bodega.journal import SqliteJournal, SqliteReader, backup, check, restore
from bodega.units import parse_duration, round_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bodega.journal import Event, Place

_File = Annotated[
    Path,
    typer.Option("--file", "-f", envvar="BODEGA_JOURNAL", help="The journal.", show_envvar=True),
]
_Json = Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")]
_DEFAULT = Path("journal.db")
_LOOK_SECONDS = 0.2


def journal() -> typer.Typer:
    """Return the command with its commands."""
    app = typer.Typer(no_args_is_help=True, help="Look at a journal, copy it, and put a copy in its place.")
    app.command("stat")(stat)
    app.command("ls")(ls)
    app.command("check")(verify)
    app.command("backup")(copy)
    app.command("restore")(put_back)
    app.command("compact")(compact)
    return app


def stat(file: _File = _DEFAULT, as_json: _Json = False) -> None:
    """Show what a journal is, and how far it goes.

    bodega journal stat --file /var/lib/bodega/journal.db
    """
    with SqliteReader(file) as reader:
        head, oldest, epochs, newest = reader.head(), reader.oldest(), reader.epochs(), reader.newest_checkpoint()
    size_bytes = file.stat().st_size
    if as_json:
        history = [{"epoch": each.epoch, "after": each.after, "reason": each.reason} for each in epochs]
        print_json(
            {
                **_place(head),
                "oldest": oldest,
                "epochs": history,
                "checkpoint": None if newest is None else newest.position,
                "size_bytes": size_bytes,
            }
        )
        return
    rows = [
        ("journal", head.journal),
        ("events", f"{oldest:,} to {head.position:,}" if head.position >= oldest else "none"),
        ("checkpoint", "none" if newest is None else f"at {newest.position:,}, of {when(newest.time_ms)}"),
        ("size", round_size(size_bytes)),
        *((f"epoch {each.epoch}", f"{each.reason} after {each.after:,}, {when(each.time_ms)}") for each in epochs),
    ]
    print_lines("\n".join(f"{name:<24}{value}" for name, value in rows))


def ls(
    after: Annotated[int, typer.Option(min=0, help="Only events after this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    kind: Annotated[str, typer.Option("--type", help="Only events whose type begins so: `invalidation`.")] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Go on with those that come; Ctrl-C ends it.")] = False,
    file: _File = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """List events: who changed what, and when.

    bodega journal ls --type configuration

    bodega journal ls --follow --json
    """
    with SqliteReader(file) as reader:
        events = _events(reader, max(after, reader.oldest() - 1), follow=follow)
        chosen = (event for event in events if event.type.startswith(kind))
        if as_json or follow:
            for number, event in enumerate(chosen, start=1):
                if as_json:
                    print_json(event.to_dict())
                else:
                    print_lines(f"{event.position:>8}  {when(event.time_ms)}  {event.type}  {event.by}  {event.text}")
                if number >= limit and not follow:
                    return
            return
        shown = islice(chosen, limit)
        rows = [(f"{each.position:,}", when(each.time_ms), each.type, each.by, each.text) for each in shown]
        rows.insert(0, ("position", "when", "what", "by", "data"))
        print_columns(*rows, right={0})


def verify(file: _File = _DEFAULT, as_json: _Json = False) -> None:
    """Read everything and compare it with what was written.

    Exits with 1 if anything is wrong. A journal that is in use can be checked.
    """
    with _progress("events") as progress:
        checked = check(file, progress)
    if as_json:
        print_json({"problems": checked.problems, "n_events": checked.n_events, "last_sound": checked.last_sound})
    elif checked.problems:
        print_lines("\n".join(checked.problems))
        print_lines(f"sound up to event {checked.last_sound:,}; `bodega journal restore --readable` keeps that")
    else:
        print_lines(f"{checked.n_events:,} events up to {checked.last_sound:,}: all as they were written")
    if checked.problems:
        sys.exit(1)


def copy(
    to: Annotated[Path, typer.Argument(metavar="COPY", help="The new file.")],
    file: _File = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """Copy a journal as it is at one moment, also while it is in use.

    bodega journal backup /backups/journal-monday.db
    """
    with _progress("pages") as progress:
        place = backup(file, to, progress)
    if as_json:
        print_json({**_place(place), "copy": str(to)})
    else:
        print_lines(f"{to}: {place.position:,} events; `bodega journal restore {to}` puts it back")


def put_back(
    source: Annotated[Path, typer.Argument(metavar="COPY", help="The copy; it stays as it is.")],
    file: _File = _DEFAULT,
    readable: Annotated[
        bool,
        typer.Option("--readable", help="Of a damaged copy take what is sound, up to the first wrong event."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Put a copy in a journal's place; what was there is kept beside it.

    A new epoch begins: whoever had followed further finds out, and checks what it stored.

        bodega journal restore /backups/journal-monday.db --file /var/lib/bodega/journal.db
    """
    with _progress("pages") as progress:
        place = restore(source, file, readable=readable, progress=progress)
    if as_json:
        print_json({**_place(place), "file": str(file)})
    else:
        print_lines(f"{file}: goes on after event {place.position:,}, in the epoch {place.epoch}")


def compact(
    keep: Annotated[str, typer.Option(metavar="DURATION", help="Events that are younger stay.")] = "30d",
    file: _File = _DEFAULT,
    as_json: _Json = False,
) -> None:
    """Take out events that a checkpoint covers and that are older than `--keep`.

    A follower that was away for longer checks everything it stored.
    """
    try:
        keep_seconds = parse_duration(keep)
    except ValueError as error:
        raise ConfigInvalid(str(error), path=("--keep",)) from None
    if not file.exists():
        raise ConfigInvalid(f"{file}: there is no such file", path=("--file",))
    opened = SqliteJournal(file)
    try:
        n_events = opened.compact(keep_seconds=keep_seconds)
        oldest = opened.oldest()
    finally:
        opened.close()
    if as_json:
        print_json({"n_events": n_events, "oldest": oldest})
    else:
        print_lines(f"{n_events:,} events were taken out; the oldest is {oldest:,}")


def _events(reader: SqliteReader, after: int, *, follow: bool) -> Iterator[Event]:
    while True:
        events = reader.read(after)
        yield from events
        if events:
            after = events[-1].position
        elif not follow:
            return
        else:
            time.sleep(_LOOK_SECONDS)


def _place(place: Place) -> dict[str, object]:
    return {"journal": place.journal, "epoch": place.epoch, "position": place.position, "chain": place.chain.hex()}


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    bar = Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + what),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
