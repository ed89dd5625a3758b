"""A content delivery network that you run yourself, for models and media."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "__version__",
]
