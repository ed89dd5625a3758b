"""Draws the film: a slow walk along the shelf, one picture after the other."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bodega.up.drawing.produce import PRODUCTS, scene

if TYPE_CHECKING:
    from pathlib import Path

SECONDS_EACH = 4
FRAMES_PER_SECOND = 24


def draw_film(target: Path, scratch: Path) -> None:
    """Write the film as H.264 in MP4, its index in front, so that a player can start at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    inputs: list[str] = []
    for number, product in enumerate(PRODUCTS):
        picture = scratch / f"film-{number}.svg"
        picture.write_text(scene(product, width=1920, height=1080, n_items=26, size=330.0, seed=number))
        inputs += ["-i", str(picture)]
    n_frames = SECONDS_EACH * FRAMES_PER_SECOND
    walks = ";".join(
        f"[{number}:v]format=yuv420p,zoompan=z='1.12+0.18*on/{n_frames}':x='(iw-iw/zoom)*on/{n_frames}':y='(ih-ih/zoom)/2':"
        f"d={n_frames}:s=960x540:fps={FRAMES_PER_SECOND}[walk{number}]"
        for number in range(len(PRODUCTS))
    )
    joined = "".join(f"[walk{number}]" for number in range(len(PRODUCTS)))
    graph = f"{walks};{joined}concat=n={len(PRODUCTS)}:v=1[film]"
    encoding = ["-c:v", "libx264", "-preset", "slow", "-crf", "28", "-maxrate", "420k", "-bufsize", "840k"]
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[film]", *encoding]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-g", "48", "-movflags", "+faststart", str(target)], check=True)  # noqa: S603 - our own arguments
