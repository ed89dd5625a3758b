from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.units import UnitInvalid, format_size, parse_size, round_size


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        ("10GB", 10_000_000_000),
        ("10GiB", 10_737_418_240),
        ("512MB", 512_000_000),
        ("512 MB", 512_000_000),
        ("1.5kB", 1_500),
        ("64kib", 65_536),
        ("7B", 7),
        ("0", 0),
        (0, 0),
    ],
)
def test_a_size_is_read_in_bytes(written: object, size_bytes: int) -> None:
    assert parse_size(written) == size_bytes


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("10", '"10MB"'),
        (1024, '"1024MB"'),
        ("10G", '"10GB" (decimal) or "10GiB" (binary)'),
        ("512k", '"512kB" (decimal) or "512KiB" (binary)'),
        ("much", "write "),
        ("-1MB", "write "),
        ("100EB", "at most"),
        (True, "write "),
        (None, "write "),
    ],
)
def test_what_is_no_size_is_refused_with_what_would_be_right(written: object, hint: str) -> None:
    with pytest.raises(UnitInvalid) as caught:
        parse_size(written)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [(0, "0"), (7, "7B"), (10_000_000_000, "10GB"), (67_108_864, "64MiB"), (1_500, "1500B"), (32_768, "32KiB")],
)
def test_a_size_is_written_with_the_unit_that_needs_no_fraction(size_bytes: int, written: str) -> None:
    assert format_size(size_bytes) == written


@given(st.integers(0, 2**63 - 1))
def test_what_is_written_is_read_as_the_same_number(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_540_000, "1.5 MB"),
        (999_940, "999.9 kB"),
        (999_999, "1.0 MB"),
        (200_000_000_000, "200.0 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_a_size_for_a_glance_is_rounded(size_bytes: int, written: str) -> None:
    assert round_size(size_bytes) == written
