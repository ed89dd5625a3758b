"""An edge with a disk, as a process before the origin of files: how it is declared, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

from tests.integration.files_origin import Files

from bodega.edge import AdminClient, find_edges
from bodega.edge.stats import DiskStats
from bodega.errors import EdgeNotFound

# A port that is not the scheme's own is in the key, and a restarted edge has another.
HOST = {"Host": "files.test"}


def declare(folder: Path, files: Files, disk: Path, *, size: str = "64MiB", memory: str = "8MB") -> str:
    """Write `bodega.toml` for an edge that keeps everything on disk.

    Returns:
        Its path.
    """
    config = folder / "bodega.toml"
    config.write_text(
        f"""
        [edge]
        listen = "127.0.0.1:0"
        memory = "{memory}"
        disk = {{ path = "{disk}", size = "{size}", reserve = "1MB", admission = "always" }}
        [origins]
        files = "{files.url}"
        [distributions.files]
        hosts = ["*"]
        behaviors = [{{ origin = "files", policy = "web" }}]
        """
    )
    return str(config)


def admin_of(folder: Path, pid: int) -> AdminClient:
    """Return the admin listener of an edge that was started below `folder`.

    Raises:
        EdgeNotFound: If it does not listen.
    """
    for edge in find_edges({"BODEGA_RUNTIME_DIR": str(folder / "run")}):
        if edge.pid == pid:
            return edge
    raise EdgeNotFound(f"edge {pid} does not run")


def disk_of(folder: Path, pid: int) -> DiskStats:
    """Return what such an edge says of its disk."""
    disk = admin_of(folder, pid).stats().disk
    assert disk is not None
    return disk
