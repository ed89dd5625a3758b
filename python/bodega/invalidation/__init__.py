"""What can be forgotten: selectors, the words of an invalidation.

A vocabulary of its own: it knows neither edges nor how they forget. Start at `selector`.
"""

from __future__ import annotations

from bodega.invalidation.selector import Selector, parse_selector, reaches_a_whole_site

__all__ = ["Selector", "parse_selector", "reaches_a_whole_site"]
