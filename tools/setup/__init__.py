"""Everything a fresh machine needs before bodega runs and its tests pass.

Standard library only: this runs before anything is installed.
Each module brings one thing and says what it does; `__main__` says which recipe needs which.
What has been done is remembered by `stamps`, so that a second run takes a second.
"""

from __future__ import annotations
