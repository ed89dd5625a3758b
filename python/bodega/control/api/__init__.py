"""The HTTP API: one file a noun. `application` joins them."""

from __future__ import annotations
