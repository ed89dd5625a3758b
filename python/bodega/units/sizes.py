"""Sizes: ``"10GB"`` is decimal (10 · 1000³ bytes), ``"10GiB"`` is binary (10 · 1024³ bytes).

``"10G"`` is refused: half of its readers take it for the one, half for the other.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, TypeAlias

from bodega.units.invalid import UnitInvalid

Size: TypeAlias = str | Literal[0]
"""What a person may write where a size is asked for."""


def parse_size(value: object) -> int:
    """Read a size that a person wrote.

    Args:
        value: ``"512MB"``, ``"1.5GiB"``, or zero in any form; from 0 to 2^63 - 1 bytes.

    Returns:
        Bytes, not negative; a fraction of a byte is dropped.

    Raises:
        UnitInvalid: If it is no size, has no unit, is negative or too large.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnitInvalid(f"{_shown(value)} is not a size", f"write {_EXAMPLES}")
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        if float(text) == 0:
            return 0
        raise UnitInvalid(f"{text} has no unit", f'add one: "{text}MB", "{text}MiB" or "{text}B"')
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UnitInvalid(f'"{text}" is not a size', _suggestion(text))
    size = int(Decimal(match[1]) * _BYTES[match[2].lower()])
    if size > _LARGEST:
        raise UnitInvalid(f'"{text}" is more than any machine has', "write at most 9EB")
    return size


def format_size(size_bytes: int) -> str:
    """Write a size with the largest unit that needs no fraction.

    Args:
        size_bytes: Bytes, zero or more.

    Returns:
        A text that `parse_size` reads as the same number: ``"10GB"``, ``"64MiB"``, ``"0"``.
    """
    if size_bytes == 0:
        return "0"
    candidates = [(size_bytes // factor, name) for name, factor in _WRITTEN if size_bytes % factor == 0]
    count, name = min(candidates)
    return f"{count}{name}"


def round_size(size_bytes: int) -> str:
    """Write a size for a glance: rounded, with one digit behind the point from the first kilobyte on.

    Args:
        size_bytes: Bytes, zero or more.

    Returns:
        ``"700 B"``, ``"1.5 MB"``; decimal, at most in terabytes. It is not meant to be read back.
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = size_bytes / 1000
    for unit in ("kB", "MB", "GB"):
        # What would be written as 1000.0 is 1.0 of the next.
        if size < 999.95:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _suggestion(text: str) -> str:
    letter = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgtpe])", text, re.ASCII | re.IGNORECASE)
    if letter is None:
        return f"write {_EXAMPLES}"
    number, unit = letter[1], letter[2].upper()
    decimal = "kB" if unit == "K" else f"{unit}B"
    return f'write "{number}{decimal}" (decimal) or "{number}{unit}iB" (binary)'


def _shown(value: object) -> str:
    return "true" if value is True else "false" if value is False else f"a {type(value).__name__}"


_BYTES = {"b": 1} | {
    unit: base**power
    for power, letter in enumerate("kmgtpe", start=1)
    for unit, base in ((f"{letter}b", 1000), (f"{letter}ib", 1024))
}
_WRITTEN = [("B", 1)] + [
    (name, base**power)
    for power, letter in enumerate("KMGTPE", start=1)
    for name, base in ((f"{letter}B" if letter != "K" else "kB", 1000), (f"{letter}iB", 1024))
]
_LARGEST = 2**63 - 1
_EXAMPLES = '"512kB", "64MB", "10GB" (decimal) or "10GiB" (binary)'
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_SIZE = re.compile(r"(\d{1,19}(?:\.\d{1,9})?)\s*([kmgtpe]?i?b)", re.ASCII | re.IGNORECASE)
