"""What `bodega purge` shows of a purge on its way through a fleet: edge by edge where somebody looks, and its times."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bodega.cli.output import print_json, print_lines, say
from bodega.errors import PurgeUnfinished

if TYPE_CHECKING:
    from bodega.client import Purge, PurgeProgress

UNFINISHED = 3
"""The exit status where not every edge that is here had it in time."""
_MOST_NAMED = 5
_MOST_LINES = 50
_MOST_SELECTORS = 3


def show_begun(purge: Purge, url: str, *, as_json: bool) -> None:
    """Say that it is in the journal."""
    progress = purge.latest
    if as_json:
        print_json(_as_json(purge, progress))
        return
    n_edges = progress.n_edges + len(progress.away)
    print_lines(
        f"in the journal of {url}, for {_edges(n_edges)}: {in_words(progress.selectors)}\n"
        f"`bodega purge status {purge.id} --wait` shows how far it is"
    )


def show_progress(purge: Purge, timeout_seconds: float | None, *, as_json: bool, is_look: bool = False) -> None:
    """Show how far it is until every edge that is here has it, and then how long it took.

    Args:
        purge: The handle.
        timeout_seconds: For so long at most.
        as_json: Only the end, for programs.
        is_look: Whether nobody meant to wait: then it is no failure that it is not done.

    Raises:
        Exit: With its own status, if that took too long.
    """
    is_late = False
    with _display(is_shown=not as_json) as show:
        try:
            for progress in purge.follow(timeout_seconds):
                show(progress)
        except PurgeUnfinished:
            is_late = not is_look
        except KeyboardInterrupt:
            say("note", f"it goes on without being watched: `bodega purge status {purge.id} --wait`")
            raise typer.Exit(130) from None
    if as_json:
        print_json(_as_json(purge, purge.latest))
    else:
        print_lines(_summary(purge.latest))
    if is_late:
        say("error", f"not everywhere in time: `bodega purge status {purge.id} --wait` goes on waiting")
        raise typer.Exit(UNFINISHED)


def in_words(selectors: Sequence[str]) -> str:
    """Name the first selectors, and say how many there are."""
    if "all" in selectors:
        return "everything"
    more = f" and {len(selectors) - _MOST_SELECTORS} more" if len(selectors) > _MOST_SELECTORS else ""
    return f"{', '.join(selectors[:_MOST_SELECTORS])}{more}"


@contextlib.contextmanager
def _display(*, is_shown: bool) -> Iterator[Callable[[PurgeProgress], None]]:
    console = Console(stderr=True)
    if not is_shown:
        yield lambda _: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("{task.fields[waiting]}"), console=console, transient=True) as bar:
            task = bar.add_task("edges", total=None, waiting="")

            def drawn(progress: PurgeProgress) -> None:
                waiting = f"waiting for {_named(progress.waiting)}" if progress.waiting else ""
                bar.update(task, completed=len(progress.applied), total=progress.n_edges, waiting=waiting)

            yield drawn
    else:
        seen: set[str] = set()

        def told(progress: PurgeProgress) -> None:
            # A line an edge is for fleets that somebody reads.
            for edge, milliseconds in sorted(progress.applied.items(), key=lambda each: each[1]):
                if edge not in seen and progress.n_edges <= _MOST_LINES:
                    say("note", f"{edge}: {_ms(milliseconds)}")
                seen.add(edge)

        yield told
    sys.stderr.flush()


def _summary(progress: PurgeProgress) -> str:
    done_so = "stale" if progress.soft else "forgotten"
    lines = [f"{done_so} on {len(progress.applied)} of {_edges(progress.n_edges)}: {in_words(progress.selectors)}"]
    half, most, last = (progress.milliseconds(share) for share in (0.5, 0.99, 1.0))
    if half is not None:
        times = [f"half after {_ms(half)}"]
        if most is not None:
            times.append(f"99 % after {_ms(most)}")
        if last is not None:
            slowest = max(progress.applied, key=lambda each: progress.applied[each])
            times.append(f"the last ({slowest}) after {_ms(last)}")
        lines.append(", ".join(times))
    if progress.waiting:
        lines.append(f"not yet: {_named(progress.waiting)}")
    if progress.away:
        lines.append(f"away: {_named(progress.away)}; it is applied before anything else once they are back")
        lines.append(f"  {_bound(progress)}")
    return "\n".join(lines)


def _bound(progress: PurgeProgress) -> str:
    ends_ms = _bound_ms(progress)
    if ends_ms is None:
        return "until then they may serve it: no behavior is `strict`"
    at = datetime.fromtimestamp(math.ceil(ends_ms / 1000), UTC).strftime("%H:%M:%S UTC")
    bound = f"until then they may serve it where a behavior is not `strict`; where it is, not after {at}"
    if not progress.unbound:
        return bound
    return f"{bound}\n  not bound, as they may serve an earlier configuration: {_named(progress.unbound)}"


def _bound_ms(progress: PurgeProgress) -> int | None:
    if progress.strict_seconds is None:
        return None
    return progress.acknowledged_ms + round(progress.strict_seconds * 1000)


def _as_json(purge: Purge, progress: PurgeProgress) -> dict[str, Any]:
    return {
        "id": purge.id,
        "ids": list(purge.ids),
        "position": progress.position,
        "time_ms": progress.time_ms,
        "selectors": list(progress.selectors),
        "soft": progress.soft,
        "is_complete": progress.is_complete,
        "applied_ms": dict(sorted(progress.applied.items(), key=lambda each: each[1])),
        "half_ms": progress.milliseconds(0.5),
        "p99_ms": progress.milliseconds(0.99),
        "last_ms": progress.milliseconds(1.0),
        "waiting": list(progress.waiting),
        "away": list(progress.away),
        "strict_seconds": progress.strict_seconds,
        "strict_not_after_ms": _bound_ms(progress),
        "unbound": list(progress.unbound),
    }


def _named(edges: Sequence[str]) -> str:
    more = f" and {len(edges) - _MOST_NAMED} more" if len(edges) > _MOST_NAMED else ""
    return f"{', '.join(edges[:_MOST_NAMED])}{more}"


def _edges(n: int) -> str:
    return f"{n:,} edge{'' if n == 1 else 's'}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 10_000 else f"{milliseconds:.0f} ms"
