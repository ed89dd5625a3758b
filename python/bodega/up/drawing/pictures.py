"""Draws the pictures: produce from SVG, wrapping papers from ffmpeg's mathematical sources.

A little noise stands in for what a camera sees, so that sizes are those of real photographs: 20 KB for a card, 100 to
200 KB for a large picture, 1 MB for the few that are sold as prints.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bodega.up.drawing.produce import PRODUCTS, scene


@dataclass(frozen=True, slots=True)
class Paper:
    """A wrapping paper: its file name, a source of ffmpeg with filters, and options of the encoder."""

    file: str
    source: str
    options: str = ""


def draw_pictures(directory: Path, scratch: Path) -> None:
    """Draw every picture of the site into `directory`; `scratch` holds what lies between."""
    for product in PRODUCTS:
        folder = directory / product.name
        for name, width, height, n_items, size, options in (
            ("large.jpg", 1280, 800, 34, 190.0, "-q:v 7"),
            ("card.webp", 640, 480, 7, 170.0, "-quality 74"),
            ("detail.webp", 960, 720, 2, 430.0, "-quality 76"),
        ):
            picture = scratch / f"{product.name}-{Path(name).stem}.svg"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_text(scene(product, width=width, height=height, n_items=n_items, size=size, seed=width))
            noise = "noise=alls=9:allf=t" if name.endswith(".jpg") else "noise=alls=6:allf=t"
            _ffmpeg("-i", str(picture), "-vf", f"format=rgb24,{noise},format=yuv420p", *options.split(), folder / name)
    for paper in PAPERS:
        _ffmpeg("-f", "lavfi", "-i", paper.source, *paper.options.split(), directory / "papers" / paper.file)


def _ffmpeg(*arguments: str | Path) -> None:
    target = Path(arguments[-1])
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments[:-1]), "-frames:v", "1", str(target)]
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments


PAPERS = (
    Paper("whirl.webp", "mandelbrot=s=720x720:start_scale=0.02:maxiter=600,format=yuv420p", "-quality 60"),
    Paper(
        "coast.jpg",
        "mandelbrot=s=960x640:start_x=-0.7436:start_y=0.1318:start_scale=0.004:maxiter=900,format=yuvj420p",
        "-q:v 9",
    ),
    Paper("lace.png", "cellauto=s=480x480:rule=110:rate=1:random_seed=7"),
    Paper("weave.png", "cellauto=s=560x560:rule=18:rate=1:random_seed=3"),
    Paper("knit.png", "cellauto=s=400x640:rule=30:rate=1:random_seed=11"),
    Paper(
        "pond.png",
        "life=s=480x360:mold=12:ratio=0.33:seed=5:life_color=#2f5d73:death_color=#dfe6cf:mold_color=#6fa7b8,select=gte(n\\,90)",
    ),
    Paper(
        "moss.png",
        "life=s=640x400:mold=20:ratio=0.4:seed=9:life_color=#41583c:death_color=#e8dcc0:mold_color=#9aa881,select=gte(n\\,60)",
    ),
    Paper("triangles.png", "sierpinski=s=720x540:type=triangle:seed=4,select=gte(n\\,3)"),
    Paper("carpet.png", "sierpinski=s=720x540:type=carpet:seed=4,select=gte(n\\,3)"),
    Paper(
        "dusk.jpg",
        "gradients=s=800x450:c0=#2b2d5b:c1=#e07a5f:c2=#f2cc8f:nb_colors=3:seed=2,noise=alls=5:allf=t,format=yuvj420p",
        "-q:v 7",
    ),
    Paper(
        "dawn.webp",
        "gradients=s=800x450:c0=#f4f1de:c1=#81b29a:c2=#3d405b:nb_colors=3:seed=8,noise=alls=4:allf=t,format=yuv420p",
        "-quality 55",
    ),
    Paper(
        "spiral-print.jpg",
        "mandelbrot=s=1600x1100:start_x=-0.74529:start_y=0.113075:start_scale=0.0004:maxiter=1400,format=yuvj420p",
        "-q:v 8",
    ),
    Paper("valley-print.png", "mandelbrot=s=900x600:start_x=-0.7453:start_y=0.1127:start_scale=0.002:maxiter=1200"),
)
"""Every wrapping paper; the two called print are large."""
