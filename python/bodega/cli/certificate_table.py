"""Certificates as a table for people and as values for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodega.certificates import Examined

_COLUMNS = ("certificate", "for", "until", "key", "issued by")
_MOST_NAMES = 3


def certificate_table(examined: Sequence[Examined]) -> str:
    """Return a table with a line for each certificate; the first is the default."""
    rows = [_COLUMNS, *map(_row, examined)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(examined) > 1:
        lines.append(f"names that none has are shown {examined[0].files.certificate}")
    return "\n".join(lines)


def certificate_as_json(each: Examined) -> dict[str, Any]:
    """Return a certificate as plain values; times in UTC."""
    return {
        "certificate": each.files.certificate,
        "key": each.files.key,
        "names": list(each.names),
        "not_before": each.begins.isoformat() if each.begins else None,
        "not_after": each.ends.isoformat() if each.ends else None,
        "key_type": each.key,
        "issuer": each.issuer,
        "chain": list(each.chain),
        "findings": [{"weight": found.weight, "what": found.what, "hint": found.hint} for found in each.findings],
    }


def _row(each: Examined) -> tuple[str, ...]:
    names = ", ".join(each.names[:_MOST_NAMES])
    if len(each.names) > _MOST_NAMES:
        names += f" and {len(each.names) - _MOST_NAMES} more"
    until = f"{each.ends:%Y-%m-%d}" if each.ends else "-"
    return (each.files.certificate, names or "-", until, each.key or "-", each.issuer or "-")
