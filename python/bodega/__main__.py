"""`python -m bodega` is the command `bodega`."""

from __future__ import annotations

from bodega.cli import main

if __name__ == "__main__":
    main()
