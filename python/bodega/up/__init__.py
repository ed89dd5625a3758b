"""`bodega up`: a real site, a real bucket and three real edges on this machine.

`demonstration` starts and stops everything, `visit` walks through it, `table` shows what is going on.
This package decides what runs where and serves nothing itself: the edges are processes of their own; the web origin,
the S3 server and the distance are `bodega._native.DemoOrigin`, `DemoS3` and `DemoRelay`.
"""

from __future__ import annotations
