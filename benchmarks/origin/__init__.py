"""The origins behind the servers: a fast one, and one that lets its clients wait."""

from __future__ import annotations
