"""What an edge keeps of its control process beside the store: it starts with that while the other one is away."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from bodega.config import DiskTier

_CONFIGURATION = "control-configuration.json"
_INSTANCE = "control-instance"
_VERSION = 1
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class KeptConfiguration:
    """A configuration that was in force.

    Attributes:
        revision: Its number.
        text: That of `bodega.toml` without `[edge]`.
    """

    revision: int
    text: str


class Damaged(Exception):
    """What is kept cannot be used."""


class Kept:
    """The files of one edge, in a folder that is for it alone.

    Args:
        folder: Where; it may come to be later.
    """

    def __init__(self, folder: Path) -> None:
        """Read nothing yet."""
        self._folder = folder

    @classmethod
    def beside(cls, disk: object) -> Kept:
        """Return what is kept in the folder of a disk tier, which is for one process at a time."""
        assert isinstance(disk, DiskTier), "checked settings hold no short form"
        return cls(Path(disk.path).expanduser())

    def configuration(self) -> KeptConfiguration | None:
        """Return the last configuration that was kept, if there is one.

        Raises:
            Damaged: If it is not what was written.
        """
        path = self._folder / _CONFIGURATION
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"{path} cannot be read: {error.strerror}") from None
        try:
            said = json.loads(content)
            version, revision, text = said["version"], said["revision"], said["text"]
            is_sound = said["sha256"] == _hash(revision, text)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Damaged(f"{path} is damaged") from None
        if version != _VERSION:
            raise Damaged(f"{path} is of another version of bodega ({version})")
        if not is_sound or not isinstance(revision, int) or isinstance(revision, bool):
            raise Damaged(f"{path} is damaged")
        return KeptConfiguration(revision, text)

    def keep(self, configuration: KeptConfiguration) -> None:
        """Keep a configuration in place of the last one; whole, whatever happens meanwhile.

        Raises:
            OSError: If that is not possible.
        """
        said = {
            "version": _VERSION,
            "revision": configuration.revision,
            "sha256": _hash(configuration.revision, configuration.text),
            "text": configuration.text,
        }
        self._write(_CONFIGURATION, json.dumps(said, ensure_ascii=False).encode())

    def take_instance(self, instance: str) -> str | None:
        """Put this process down as the one that has the folder; return the one before, if that is known.

        A folder belongs to one process at a time, so that the one before is gone, whatever its control process thinks.
        """
        before = None
        with contextlib.suppress(OSError, UnicodeDecodeError), (self._folder / _INSTANCE).open() as file:
            before = file.read(100).strip()
        with contextlib.suppress(OSError):
            self._write(_INSTANCE, f"{instance}\n".encode())
        # As a control process takes it.
        is_one = before is not None and before.isascii() and before.isalnum() and before != instance
        return before if is_one and len(before or "") in range(8, 65) else None

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        new = path.with_name(f"{name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _hash(revision: int, text: str) -> str:
    return hashlib.sha256(f"{revision}\n{text}".encode()).hexdigest()
