from __future__ import annotations

from bodega.up.visit.crowd import popularity

PAGES = [f"/{number}.html" for number in range(20)]


def test_few_pages_are_asked_for_often_and_every_place_has_its_own() -> None:
    tokyo, london = popularity(PAGES, "tokyo"), popularity(PAGES, "london")
    assert set(tokyo) == set(london) == set(PAGES)
    assert max(tokyo, key=tokyo.__getitem__) == max(london, key=london.__getitem__) == PAGES[0]
    assert list(tokyo) != list(london)
    assert sum(sorted(tokyo.values())[-5:]) > 0.5 * sum(tokyo.values())
    assert popularity(PAGES, "tokyo") == tokyo
