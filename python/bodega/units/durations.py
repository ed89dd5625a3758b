"""Durations: ``"250ms"``, ``"90s"``, ``"24h"``, ``"1h30m"``; counted in seconds.

A day has 24 hours and a year 365 days; ``m`` is a minute, as there are no months here.
What is written is read exactly (decimal), so that formatting and reading again gives the same number of milliseconds.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from bodega.units.invalid import UnitInvalid

Duration: TypeAlias = str | timedelta | Literal[0]
"""What a person may write where a duration is asked for."""


def parse_duration(value: object) -> float:
    """Read a duration that a person wrote.

    Args:
        value: ``"24h"``, ``"1h30m"``, a `datetime.timedelta`, or zero in any form; from 0 to 10 years.

    Returns:
        Seconds, not negative.

    Raises:
        UnitInvalid: If it is no duration, has no unit, is negative or longer than 10 years.
    """
    if isinstance(value, timedelta):
        return _within_bounds(Decimal(str(value.total_seconds())), str(value))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnitInvalid(f"{_shown(value)} is not a duration", f"write {_EXAMPLES}")
    if not isinstance(value, str):
        return _bare_number(value, str(value))
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _bare_number(float(text), text)
    if text.startswith("-"):
        raise UnitInvalid(f'"{text}" is negative', "a duration is zero or more")
    if not _DURATION.fullmatch(text):
        raise UnitInvalid(f'"{value}" is not a duration', _suggestion(text))
    total = Decimal(0)
    for number, unit in _PART.findall(text):
        total += Decimal(number) * _SECONDS[unit.lower()]
    return _within_bounds(total, text)


def format_duration(seconds: float) -> str:
    """Write a duration with the largest unit that needs no fraction.

    Args:
        seconds: Zero or more.

    Returns:
        A text that `parse_duration` reads as the same number: ``"24h"``, ``"250ms"``, ``"0"``.
    """
    exact = Decimal(repr(seconds)).normalize()
    if exact == 0:
        return "0"
    for unit in ("y", "d", "h", "m", "s", "ms"):
        # 24h and 36h read better than 1d and 1.5d; from two days on, days do.
        if unit == "d" and exact < 2 * _SECONDS["d"]:
            continue
        count = exact / _SECONDS[unit]
        if count == count.to_integral_value():
            return f"{int(count)}{unit}"
    return f"{exact:f}s"


def _bare_number(number: float, text: str) -> float:
    if number == 0:
        return 0.0
    if not 0 < number < float("inf"):
        raise UnitInvalid(f"{text} is not a duration", f"write {_EXAMPLES}")
    raise UnitInvalid(
        f"{text} has no unit", f'add one: "{text}s" for seconds, "{text}m" for minutes, "{text}h" for hours'
    )


def _within_bounds(seconds: Decimal, text: str) -> float:
    if seconds < 0:
        raise UnitInvalid(f'"{text}" is negative', "a duration is zero or more")
    if seconds > 10 * _SECONDS["y"]:
        raise UnitInvalid(f'"{text}" is longer than 10 years', 'write at most "10y"')
    return float(seconds)


def _suggestion(text: str) -> str:
    words = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.lower())
    unit = _LONG_NAMES.get(words[2].rstrip("s")) if words else None
    return f'did you mean "{words[1]}{unit}"?' if words and unit else f"write {_EXAMPLES}"


def _shown(value: object) -> str:
    return "true" if value is True else "false" if value is False else f"a {type(value).__name__}"


_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
    "y": Decimal(31_536_000),
}
_LONG_NAMES = {
    "millisecond": "ms",
    "msec": "ms",
    "sec": "s",
    "second": "s",
    "minute": "m",
    "hour": "h",
    "hr": "h",
    "day": "d",
    "week": "w",
    "year": "y",
}
_EXAMPLES = '"250ms", "90s", "10m", "24h", "7d" or "1y"'
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_PART = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(ms|min|[smhdwy])", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(rf"{_PART.pattern}(?:\s*{_PART.pattern})*", re.ASCII | re.IGNORECASE)
