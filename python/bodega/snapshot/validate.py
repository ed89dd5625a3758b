"""Asks the native core whether it would take a snapshot, without running one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodega import _native

if TYPE_CHECKING:
    from bodega.snapshot.compile import Snapshot


def validate(snapshot: Snapshot) -> None:
    """Check a snapshot as a running edge would.

    Args:
        snapshot: What `compile_snapshot` made.

    Raises:
        SnapshotInvalid: If the native core refuses it; the text says why.
    """
    _native.validate_snapshot(snapshot.document)
