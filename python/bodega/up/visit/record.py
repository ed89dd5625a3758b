"""Keeps what a visit saw: every exchange, and every expectation with whether it was met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodega.up.visit.exchange import Check, Exchange

if TYPE_CHECKING:
    from bodega.up.visit.report import Report


@dataclass(slots=True)
class Record:
    """Everything a visit saw; each part is shown as it is added.

    Attributes:
        report: Where it is shown.
        by_step: Exchanges by step.
        checks: Expectations of all steps.
    """

    report: Report
    by_step: dict[str, list[Exchange]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    _step: str = ""

    def step(self, name: str, title: str) -> None:
        """Begin a step.

        Args:
            name: By which `by_step` keeps it.
            title: What is going to happen, for the report.
        """
        self._step = name
        self.by_step[name] = []
        self.report.step(name, title)

    def saw(self, exchange: Exchange) -> Exchange:
        """Keep and show an exchange."""
        self.by_step[self._step].append(exchange)
        self.report.exchange(self._step, exchange)
        return exchange

    def saw_load(self, exchanges: list[Exchange], seconds: float) -> None:
        """Keep a page with everything it names, and show it as one.

        Args:
            exchanges: The page first.
            seconds: From asking for the page to the last byte of the last thing it names.
        """
        self.by_step[self._step] += exchanges
        self.report.load(self._step, exchanges, seconds)

    def saw_many(self, exchanges: list[Exchange]) -> None:
        """Keep exchanges that are too many to show one by one."""
        self.by_step[self._step] += exchanges

    def check(self, what: str, is_met: bool, seen: str) -> None:
        """Keep and show an expectation."""
        check = Check(what, is_met, seen)
        self.checks.append(check)
        self.report.check(self._step, check)

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether every expectation was met."""
        return all(check.is_met for check in self.checks)
