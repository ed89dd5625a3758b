"""A figure: one number, the bar it has to stay below, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a question.

    Attributes:
        name: What was measured.
        value: What came out; none if it could not be measured, as when a server was left out.
        bar: What it may be at most.
        unit: Unit of both; for a ratio, what it is a multiple of.
        detail: Where it comes from, for whoever reads the line.
    """

    name: str
    value: float | None
    bar: float
    unit: str
    detail: str

    @property
    def verdict(self) -> str:
        """Return `reached`, `short` or `unmeasured`."""
        if self.value is None:
            return "unmeasured"
        return "reached" if self.value <= self.bar else "short"

    def line(self) -> str:
        """Return the figure on one line: name, value, bar, verdict, and where it comes from."""
        value = "-" if self.value is None else f"{self.value:.2f}"
        bar = f"<= {self.bar:.2f}"
        return f"{self.name:<59} {value:>8} {bar:>10} {self.unit:<15} {self.verdict:<10} {self.detail}".rstrip()
