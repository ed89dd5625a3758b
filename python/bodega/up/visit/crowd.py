"""Many visitors in three places: few pages are asked for often, many now and then (Zipf), and each place has its own.

A visitor looks at a few pages and keeps styles and script, as browsers do; pictures are always asked for anew, which
stands for the many more visitors there would be.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bodega.up.visit.browser import Browser

if TYPE_CHECKING:
    from bodega.up.edge_process import EdgeProcess
    from bodega.up.visit.exchange import Exchange

N_VISITORS = 60
"""In each place."""

PAGES_EACH = 4
AT_ONCE = 4
"""Visitors of one place at the same time."""

_EXPONENT = 0.9
"""Of the Zipf law; 0.7 to 1.0 is what is measured on web sites."""


def wander(edges: list[EdgeProcess], pages: list[str], seed: int) -> list[Exchange]:
    """Let a crowd loose on every edge at once.

    Args:
        edges: Whom to ask.
        pages: What there is to see.
        seed: The same seed takes the same ways.

    Returns:
        Every exchange, in no particular order.
    """
    with ThreadPoolExecutor(AT_ONCE * len(edges)) as pool:
        ways = [
            pool.submit(_visit, edge, _way(pages, _dice(f"{seed} {edge.place.name} {number}"), edge.place.name))
            for number in range(N_VISITORS)
            for edge in edges
        ]
        try:
            return [exchange for way in ways for exchange in way.result()]
        except BaseException:
            # Whoever interrupts, or an edge that breaks off, shall not wait for visitors that have not set out yet.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def popularity(pages: list[str], place: str) -> dict[str, float]:
    """Return how often each page is asked for in a place, relative to the others."""
    order = pages[:1] + _dice(place).sample(pages[1:], len(pages) - 1)
    return {page: 1 / rank**_EXPONENT for rank, page in enumerate(order, start=1)}


def _way(pages: list[str], rng: random.Random, place: str) -> list[str]:
    weights = popularity(pages, place)
    way = rng.choices(list(weights), list(weights.values()), k=PAGES_EACH)
    # One in twelve looks at the account, one in twelve at the clock: nothing of that may be kept.
    way += [page for page in ("/account/", "/api/time") if rng.random() < 1 / 12]
    return way


def _dice(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - ways through a store are no secret


def _visit(edge: EdgeProcess, way: list[str]) -> list[Exchange]:
    seen: list[Exchange] = []
    kept: set[str] = set()
    with Browser(edge) as browser:
        for path in way:
            page = browser.get(path)
            wanted = [each for each in browser.named(page) if each not in kept]
            kept.update(each for each in wanted if each.startswith("/assets/"))
            seen += [page, *map(browser.get, wanted)]
    return seen
