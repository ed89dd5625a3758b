"""Whole-system measurements of bodega beside other servers, one folder a question."""

from __future__ import annotations
