"""How the native core was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodega import _native

if TYPE_CHECKING:
    from collections.abc import Mapping


def build() -> Mapping[str, str]:
    """Return ``version``, ``profile``, ``features`` and ``target`` of the native core."""
    return _native.build_info()
