"""Pages of docs/reference that are generated: written by `make docs`, compared by tests/architecture."""

from __future__ import annotations
