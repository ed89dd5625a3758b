"""`bodega audit`: who changed what in a fleet, and when."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bodega.cli.output import print_columns, print_json, when

if TYPE_CHECKING:
    from bodega.client import Fleet


def audit(
    after: Annotated[
        int | None, typer.Option(min=0, help="Only events after this position.  \\[default: the newest]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 50,
    kind: Annotated[str, typer.Option("--type", help="Only those whose type begins so: `configuration`.")] = "",
    by: Annotated[str, typer.Option("--by", help="Of these only those that this token made.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for programs: one object a line.")] = False,
    *,
    fleet: Fleet,
) -> None:
    """List who changed what in a fleet, and when: the events of its journal.

    `bodega journal ls` reads the same from the journal's file, where the control process is not to be asked.

        bodega audit

        bodega audit --after 0 --limit 100000 --type configuration --by ci
    """
    found = [
        each for each in fleet.audit(after, limit=limit) if each.type.startswith(kind) and (not by or each.by == by)
    ]
    if as_json:
        for each in found:
            print_json(asdict(each))
        return
    rows = [("position", "when", "what", "by", "data")]
    for each in found:
        data = json.dumps(each.data, ensure_ascii=False, separators=(",", ":"))
        rows.append((f"{each.position:,}", when(each.time_ms), each.type, each.by, data))
    print_columns(*rows, right={0})
