"""The one way to wait in a test: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")

_BETWEEN_LOOKS_SECONDS = 0.005


def wait_until(condition: Callable[[], _Value], *, timeout_seconds: float = 20.0, what: str = "") -> _Value:
    """Look again and again until a condition holds.

    Example:
        >>> wait_until(lambda: "it is so")
        'it is so'

    Args:
        condition: Returns something true once it holds.
        timeout_seconds: How long at most.
        what: What was waited for, for the error.

    Returns:
        What the condition returned.

    Raises:
        TimeoutError: If it did not hold in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds:g} s in vain for {what or 'a condition'}")
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    return value
