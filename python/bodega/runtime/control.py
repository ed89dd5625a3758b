"""Records of the control processes that run here: where each listens, and which file holds a token for it.

A record is ``control-PID.json`` in the runtime folder, for its owner alone. Its process holds a lock on it, so that
what a dead one left is known for that, even once its number belongs to somebody else: whoever follows a record sends
a token there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bodega.runtime.folder import existing_folders, runtime_folder


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """A control process of this user that runs here.

    Attributes:
        pid: Its process.
        url: Where it listens.
        token_file: What holds a token for it, if that is known.
    """

    pid: int
    url: str
    token_file: Path | None = None


@contextlib.contextmanager
def recorded(environment: Mapping[str, str], url: str, token_file: Path | None = None) -> Iterator[Path]:
    """Let this process be found as a control process, until the end of the block.

    Raises:
        EdgeError: If there is no folder for the record.
        OSError: If it cannot be written.
    """
    path = runtime_folder(environment) / f"control-{os.getpid()}.json"
    making = path.with_suffix(".new")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        # Before it has the name that others look for: they take one without a lock for a dead one's.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        json.dump({"url": url, "token_file": None if token_file is None else str(token_file.absolute())}, file)
        file.flush()
        making.rename(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def control_records(environment: Mapping[str, str]) -> list[ControlRecord]:
    """List the control processes of this user that run here; records of dead ones are removed."""
    return [found for folder in existing_folders(environment) for found in _records_in(folder)]


def _records_in(folder: Path) -> Iterator[ControlRecord]:
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"control-(\d+)\.json", path.name)
        record = None if match is None else _read(path, int(match[1]))
        if record is not None:
            yield record


def _read(path: Path, pid: int) -> ControlRecord | None:
    try:
        file = path.open()
    except OSError:
        return None  # It has just ended.
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = json.load(file)
            token_file = said["token_file"]
            return ControlRecord(pid, said["url"], None if token_file is None else Path(token_file))
        path.unlink(missing_ok=True)
        return None
