"""The folder where running processes of this user are found: admin and handover sockets of edges, named by process.

``$BODEGA_RUNTIME_DIR``, else ``$XDG_RUNTIME_DIR/bodega``, else ``/tmp/bodega-<uid>/bodega``, only for its owner: a
folder that belongs to somebody else, or that others may enter, is refused, because whoever owns the sockets commands
the processes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from bodega.errors import EdgeError

_FALLBACK = "/tmp"  # noqa: S108 - The folder below it is checked for its owner and rights.


def runtime_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder, made and checked.

    Raises:
        EdgeError: If it cannot be made, belongs to somebody else, or is open to others.
    """
    own = environment.get("BODEGA_RUNTIME_DIR")
    base = environment.get("XDG_RUNTIME_DIR")
    root = Path(base) if base and Path(base).is_dir() else Path(_FALLBACK) / f"bodega-{os.getuid()}"
    try:
        if not own and root.parent == Path(_FALLBACK):
            root.mkdir(mode=0o700, exist_ok=True)
            _check(root)
        folder = Path(own) if own else root / "bodega"
        folder.mkdir(mode=0o700, parents=bool(own), exist_ok=True)
        _check(folder)
    except OSError as error:
        raise EdgeError(
            f"{root}: cannot be used for what runs here: {error.strerror}",
            hint='name another folder by BODEGA_RUNTIME_DIR; an edge without one needs `--admin ADDRESS` or "off"',
        ) from error
    return folder


def admin_socket(environment: Mapping[str, str]) -> str:
    """Return the address of this process's admin socket.

    Raises:
        EdgeError: If there is no folder for it.
    """
    return f"unix:{runtime_folder(environment) / f'edge-{os.getpid()}.sock'}"


def handover_socket(environment: Mapping[str, str], pid: int) -> Path:
    """Return the path at which a process hands over its listeners.

    Raises:
        EdgeError: If there is no folder for it.
    """
    return runtime_folder(environment) / f"handover-{pid}.sock"


def running_sockets(environment: Mapping[str, str]) -> list[tuple[int, Path]]:
    """List process and admin socket of the edges of this user; sockets whose process is gone are removed."""
    return [found for folder in existing_folders(environment) for found in _sockets_in(folder)]


def existing_folders(environment: Mapping[str, str]) -> list[Path]:
    """List the folders in which something of this user may be found; one that others may enter is none."""
    if environment.get("BODEGA_RUNTIME_DIR"):
        folders = {Path(environment["BODEGA_RUNTIME_DIR"])}
    else:
        folders = {Path(_FALLBACK) / f"bodega-{os.getuid()}" / "bodega"}
        if environment.get("XDG_RUNTIME_DIR"):
            folders.add(Path(environment["XDG_RUNTIME_DIR"]) / "bodega")
    return [folder for folder in sorted(folders) if _is_private(folder)]


def _sockets_in(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"(edge|handover)-(\d+)\.sock", path.name)
        if match is None:
            continue
        pid = int(match[2])
        if not _is_alive(pid):
            path.unlink(missing_ok=True)
        elif match[1] == "edge":
            found.append((pid, path))
    return found


def _check(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EdgeError(
            f"{folder} belongs to somebody else", hint="remove it, or set XDG_RUNTIME_DIR to a folder of yours"
        )
    if status.st_mode & 0o077:
        raise EdgeError(f"{folder} is open to others", hint=f"chmod 700 {folder}")


def _is_private(folder: Path) -> bool:
    try:
        _check(folder)
    except (OSError, EdgeError):
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
