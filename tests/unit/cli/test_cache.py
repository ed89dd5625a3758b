from __future__ import annotations

import pytest

from bodega.cli import cache
from bodega.edge import AdminClient
from bodega.edge.cache import CacheEntry

MIB = 1 << 20


class Shown:
    """An edge that keeps one entry."""

    pid = 7
    address = "unix:/edge.sock"

    def __init__(self, entry: CacheEntry) -> None:
        self.entry = entry

    @property
    def cache(self) -> Shown:
        return self

    def show(self, _url: str) -> list[CacheEntry]:
        return [self.entry]


def test_which_slices_of_a_large_file_are_there_is_drawn_on_a_line_of_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [[slice_, slice_, True] for slice_ in (*range(512), 600)]
    entry = CacheEntry(
        url="dl.test/game.iso",
        distribution="d",
        key="0" * 32,
        kind="answer",
        status=200,
        size_bytes=1024 * MIB,
        tiers=("memory", "disk"),
        hits=1,
        age_seconds=2,
        ttl_seconds=3600,
        invalidated=False,
        tags=(),
        stamp=1,
        slices_there=len(there),
        slices_all=1024,
        disk={"slices": there},
    )
    monkeypatch.setenv("COLUMNS", "80")

    def edges(_address: str | None) -> list[AdminClient]:
        return [Shown(entry)]  # type: ignore[list-item]

    monkeypatch.setattr("bodega.cli.cache.running_edges", edges)
    cache.show("http://dl.test/game.iso")
    written = capsys.readouterr().out
    assert "513 of 1,024" in written
    assert "█" * 24 + "····▒" + "·" * 19 in written
