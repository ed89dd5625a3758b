"""The one error of this package: a quantity that cannot be understood."""

from __future__ import annotations


class UnitInvalid(ValueError):
    """A quantity that is not what a person may write.

    Attributes:
        what: What was wrong, with the value as it was written.
        hint: What would be right.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        """Keep what was wrong and what would be right."""
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Join both into one sentence."""
        return f"{self.what}; {self.hint}" if self.hint else self.what
