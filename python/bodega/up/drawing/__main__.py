"""Draw everything anew: `python -m bodega.up.drawing`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bodega.up.drawing.film import draw_film
from bodega.up.drawing.pages import write_site
from bodega.up.drawing.pictures import draw_pictures

CONTENT = Path(__file__).parents[1] / "content"


def main() -> None:
    """Draw pictures, film and pages into a new directory, then take the place of the old content."""
    with tempfile.TemporaryDirectory(prefix="bodega-drawing-") as name:
        scratch = Path(name)
        drawn = scratch / "content"
        draw_pictures(drawn / "images", scratch)
        draw_film(drawn / "video" / "tour.mp4", scratch)
        write_site(drawn / "site", images=drawn / "images")
        shutil.rmtree(CONTENT, ignore_errors=True)
        shutil.copytree(drawn, CONTENT)
    files = [path for path in CONTENT.rglob("*") if path.is_file()]
    sys.stdout.write(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.2f} MB in {CONTENT}\n")


if __name__ == "__main__":
    main()
