"""The servers that are measured side by side, each with its configuration in the file of its name."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.subjects.bodega import NAME as BODEGA
from benchmarks.subjects.bodega import bodega
from benchmarks.subjects.haproxy import HAPROXY
from benchmarks.subjects.nginx import NGINX, NGINX_WITH_THREADS
from benchmarks.subjects.subject import MEBIBYTE, Place, Subject, TlsPlace
from benchmarks.subjects.trafficserver import TRAFFIC_SERVER
from benchmarks.subjects.varnish import VARNISH

PEERS: Sequence[Subject] = (NGINX, HAPROXY, TRAFFIC_SERVER, VARNISH)
"""The servers that bodega is compared with."""

NAMES = (BODEGA, *(peer.name for peer in PEERS))

__all__ = [
    "BODEGA",
    "MEBIBYTE",
    "NAMES",
    "NGINX",
    "NGINX_WITH_THREADS",
    "PEERS",
    "TRAFFIC_SERVER",
    "Place",
    "Subject",
    "TlsPlace",
    "bodega",
]
