"""The command `bodega`: one file a command, which parses, calls and prints.

People read standard error and tables; programs read `--json` on standard output. The exit status is 0 where it went
well, 1 where it failed, 2 where the command or the configuration was wrong.
"""

from __future__ import annotations

from bodega.cli.main import main

__all__ = ["main"]
