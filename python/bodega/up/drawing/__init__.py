"""Draws the content that `bodega up` serves: produce, wrapping papers, a short film and the pages about them.

The result lies in `bodega/up/content/` and is part of the package; this runs only when it is to be changed, and needs
ffmpeg with librsvg, libwebp and libx264. Everything is drawn here, so nothing belongs to anybody else.

    python -m bodega.up.drawing
"""

from __future__ import annotations
