"""Versioned messages between control, edges and clients, and nothing else.

`events` is what events of the journal say, `batch` how they are sent, `api` the bodies of the HTTP API.
"""

from __future__ import annotations
