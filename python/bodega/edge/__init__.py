"""Running edges: in this process, in the foreground as a command, and those found on this machine.

`EdgeServer` is a guest in somebody's process; `Foreground` is the process of `bodega edge`; both run the native core
through `RunningEdge`. `admin` talks with edges that already run. Nothing here decides what a request gets.
Start at `EdgeServer`.
"""

from __future__ import annotations

from bodega.edge.admin import AdminClient, Invalidated, find_edges
from bodega.edge.build import build
from bodega.edge.foreground import Foreground, Source
from bodega.edge.metrics import EdgeMetrics
from bodega.edge.ml_server import EdgeMLServer, Prediction, Predictions
from bodega.edge.models import ModelSwap, ModelVersion
from bodega.edge.request import Request
from bodega.edge.response import Headers, Response
from bodega.edge.server import EdgeServer
from bodega.edge.stats import EdgeStats

__all__ = [
    "AdminClient",
    "EdgeMLServer",
    "EdgeMetrics",
    "EdgeServer",
    "EdgeStats",
    "Foreground",
    "Headers",
    "Invalidated",
    "ModelSwap",
    "ModelVersion",
    "Prediction",
    "Predictions",
    "Request",
    "Response",
    "Source",
    "build",
    "find_edges",
]
