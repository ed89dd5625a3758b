"""Quantities as people write them, and as the machine counts them.

A duration is written ``"24h"`` and counted in seconds; a size is written ``"10GB"`` or ``"10GiB"``
and counted in bytes.
A number without a unit is refused, so that nobody has to guess; only zero needs none.
It knows nothing of configuration: it raises `UnitInvalid`, and whoever reads a document says where.
Start at `parse_duration` and `parse_size`.
"""

from __future__ import annotations

from bodega.units.durations import Duration, format_duration, parse_duration
from bodega.units.invalid import UnitInvalid
from bodega.units.sizes import Size, format_size, parse_size, round_size

__all__ = [
    "Duration",
    "Size",
    "UnitInvalid",
    "format_duration",
    "format_size",
    "parse_duration",
    "parse_size",
    "round_size",
]
