"""Asks the native core whether it would take a snapshot, without running one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodega import _native

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bodega.snapshot.compile import Snapshot


def validate(snapshot: Snapshot) -> None:
    """Check a snapshot as a running edge would.

    Args:
        snapshot: What `compile_snapshot` made.

    Raises:
        SnapshotInvalid: If the native core refuses it; the text says why.
    """
    _native.validate_snapshot(snapshot.document)


def wrong_token_files(snapshot: Snapshot) -> Mapping[str, str]:
    """Read the files of tokens and keys that behaviors name, as an edge does before it takes a configuration.

    Args:
        snapshot: What `compile_snapshot` made.

    Returns:
        What is wrong with them, by file; files that are not here, or not to be opened, are left out.
    """
    return _native.wrong_token_files(snapshot.document)
