from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.units import UnitInvalid, format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("10m", 600),
        ("10min", 600),
        ("24h", 86_400),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("1y", 31_536_000),
        ("1h30m", 5_400),
        (" 1h 30m ", 5_400),
        ("1.5h", 5_400),
        ("24H", 86_400),
        ("0", 0),
        ("0s", 0),
        (0, 0),
        (0.0, 0),
        (timedelta(minutes=2), 120),
    ],
)
def test_a_duration_is_read_in_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("60", '"60s" for seconds'),
        (60, '"60s" for seconds'),
        (1.5, '"1.5s" for seconds'),
        ("24 hours", 'did you mean "24h"?'),
        ("5 sec", 'did you mean "5s"?'),
        ("10 minutes", 'did you mean "10m"?'),
        ("soon", "write "),
        ("", "write "),
        ("-5s", "zero or more"),
        (-1, "write "),
        (timedelta(seconds=-1), "zero or more"),
        ("11y", "at most"),
        (True, "write "),
        (None, "write "),
        (float("nan"), "write "),
        (float("inf"), "write "),
        ("٣s", "write "),
    ],
)
def test_what_is_no_duration_is_refused_with_what_would_be_right(written: object, hint: str) -> None:
    with pytest.raises(UnitInvalid) as caught:
        parse_duration(written)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0"),
        (0.25, "250ms"),
        (90, "90s"),
        (120, "2m"),
        (86_400, "24h"),
        (129_600, "36h"),
        (172_800, "2d"),
        (31_536_000, "1y"),
        (0.0001, "0.0001s"),
    ],
)
def test_a_duration_is_written_with_the_largest_whole_unit(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@given(st.integers(0, 315_360_000_000))
def test_what_is_written_is_read_as_the_same_number(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_but_never_breaks(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except UnitInvalid:
        return
