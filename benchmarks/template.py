"""Configuration files with places to fill, written `@NAME@`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def fill(source: Path, target: Path, values: Mapping[str, object]) -> None:
    """Write a file with every place filled.

    Args:
        source: The file with places.
        target: Where to write.
        values: What stands for each name.

    Raises:
        KeyError: If the file has a place that is not among the values.
    """
    target.write_text(re.sub(r"@([A-Z_]+)@", lambda place: str(values[place[1]]), source.read_text()))
