"""Lays out a directory that the origin and the S3 server serve from.

site/                           the web origin's root; its files may be edited while it runs
buckets/images/images/...       bucket `images`: pictures, and
buckets/images/video/tour.mp4   the film
buckets/models/models/...       bucket `models`: a link to the model file in the user's cache
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Premises:
    """The directories that are served.

    Attributes:
        site: Root of the web origin.
        buckets: Root of the S3 server, one folder a bucket.
    """

    site: Path
    buckets: Path

    def page(self, path: str) -> Path:
        """Return the file behind a path of the site."""
        return self.site / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))

    def object(self, path: str) -> Path:
        """Return the file behind a path that a bucket answers."""
        bucket = "models" if path.startswith("/models/") else "images"
        return self.buckets / bucket / path.lstrip("/")


def lay_out(directory: Path, model: Path) -> Premises:
    """Copy the content of the package into `directory` and link the model file.

    Args:
        directory: Is made if it is not there; pages that lie in it already are kept.
        model: The model file.
    """
    premises = Premises(directory / "site", directory / "buckets")
    with resources.as_file(resources.files("bodega.up") / "content") as content:
        _copy_missing(content / "site", premises.site)
        _copy_missing(content / "images", premises.buckets / "images" / "images")
        _copy_missing(content / "video", premises.buckets / "images" / "video")
    shelf = premises.object(MODEL_PATH)
    shelf.parent.mkdir(parents=True, exist_ok=True)
    shelf.unlink(missing_ok=True)
    shelf.symlink_to(model.resolve())
    set_age(model)
    return premises


def _copy_missing(source: Path, target: Path) -> None:
    for file in sorted(source.rglob("*")):
        copy = target / file.relative_to(source)
        if file.is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            set_age(copy)


def set_age(file: Path) -> None:
    """Make a file look as if it had not been changed for half a year, as most of a real store has not.

    A cache keeps an answer that says nothing for a tenth of the time since it was last changed, so that files which
    have just been laid out would be asked for again and again.
    """
    then = time.time() - _AGE_SECONDS
    os.utime(file, (then, then))


_AGE_SECONDS = 180 * 86_400

MODEL_PATH = "/models/corner-store.safetensors"
"""Where clients find the model."""

FILM_PATH = "/video/tour.mp4"
"""Where clients find the film."""
