"""A visit to the demonstration, made by itself: `bodega up --try`.

`story` is what happens in which order, `browser` asks the edges as a browser would, `crowd` is a hundred visitors more,
`record` keeps what was seen, `figures` compares it with the mission, `report` prints it.
Nothing here looks into an edge: what is checked is what a client gets, and what the origins were asked for.
"""

from __future__ import annotations

from bodega.up.visit.exchange import Check, Exchange
from bodega.up.visit.figures import Figure, figures
from bodega.up.visit.record import Record
from bodega.up.visit.report import JsonReport, Report, TableReport
from bodega.up.visit.story import tell

__all__ = ["Check", "Exchange", "Figure", "JsonReport", "Record", "Report", "TableReport", "figures", "tell"]
