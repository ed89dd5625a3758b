"""What ends a measurement: something is missing, did not start, or answered wrongly."""

from __future__ import annotations


class MeasurementFailed(Exception):
    """A measurement that would say nothing true; the text says what happened and what to do."""
