"""Where an edge keeps what survives a restart: the `disk` setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bodega.distributions import checks
from bodega.distributions.shapes import ChoiceShape, FlagShape, SizeShape, TextShape, about
from bodega.errors import ConfigInvalid

if TYPE_CHECKING:
    from bodega.units import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskTier:
    """The disk tier of an edge.

    Attributes:
        path: A directory that belongs to this edge alone; it is made if its parent exists.
        size: Bound of everything in it.
        reserve: How much of the file system stays free; None: a twentieth of it, at most 10 GB.
        admission: What is written: ``"second"``, what is asked for a second time, or ``"always"``.
        policy: Who goes when it is full.
        rebuild: Begin anew where the directory holds a store of another version.
    """

    path: str = field(
        metadata=about(
            TextShape(examples=("/var/cache/bodega",)),
            "A directory that belongs to this edge alone; it is made if its parent exists.",
        )
    )
    size: Size = field(metadata=about(SizeShape(), "Bound of everything in it. At least 16 MiB."))
    reserve: Size | None = field(
        default=None,
        metadata=about(
            SizeShape(),
            "How much of the file system stays free.",
            default="a twentieth of the file system, at most 10 GB",
        ),
    )
    admission: str = field(
        default="second",
        metadata=about(
            ChoiceShape(("second", "always")),
            "What is written: what is asked for a second time, or everything. Most objects are asked for once: the "
            "first spares the disk.",
        ),
    )
    policy: str = field(
        default="shelf",
        metadata=about(ChoiceShape(("shelf", "lru", "s3fifo")), "Who goes when it is full."),
    )
    rebuild: bool = field(
        default=False,
        metadata=about(
            FlagShape(), "Begin anew where the directory holds a store of another version, in place of refusing."
        ),
    )

    def __post_init__(self) -> None:
        """Check every field."""
        if not checks.text(self.path, "path"):
            raise ConfigInvalid("an empty path names no directory", hint='write "/var/cache/bodega"', path=("path",))
        if not Path(self.path).expanduser().is_absolute():
            raise ConfigInvalid(
                f'"{self.path}" is not an absolute path',
                hint=f'did you mean "{Path(self.path).absolute()}"?',
                path=("path",),
            )
        if checks.size(self.size, "size") < 16 << 20:
            raise ConfigInvalid(f"{self.size} is too little", hint='write at least "16MiB"', path=("size",))
        if self.reserve is not None:
            checks.size(self.reserve, "reserve")
        for name, words in (("admission", ("second", "always")), ("policy", ("shelf", "lru", "s3fifo"))):
            written = getattr(self, name)
            if written not in words:
                listed = " or ".join(f'"{word}"' for word in words)
                hint = checks.suggest(str(written), words)
                raise ConfigInvalid(f'"{written}" is not {listed}', hint=hint, path=(name,))
        checks.flag(self.rebuild, "rebuild")

    @classmethod
    def parse(cls, text: str) -> DiskTier:
        """Read the short form ``/var/cache/bodega:100GB``: a path and a size.

        Raises:
            ConfigInvalid: If it is not of that form.
        """
        path, colon, size = text.rpartition(":")
        if not colon or not path:
            raise ConfigInvalid(
                f'"{text}" names a directory without a size', hint=f'write "{text.rstrip(":")}:10GB"', path=()
            )
        return cls(path=path, size=size)
