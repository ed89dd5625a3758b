"""Tries whether origins can be reached at the start: an origin that is down is worth a warning, not an exit."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bodega.distributions import S3, Declarations, HttpOrigin, Model, ModelGroup, Origin, OriginGroup, RegionalOrigin

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT_SECONDS = 3.0


def unreachable_origins(declarations: Declarations) -> list[str]:
    """Connect to every web origin that a behavior uses, and describe those that cannot be reached.

    Returns:
        ``"http://127.0.0.1:9000 (connection refused)"``, one for each; empty where all answer.
    """
    urls = sorted(set(_urls(declarations)))
    if not urls:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(urls)), thread_name_prefix="bodega-probe") as pool:
        return [f"{url} ({why})" for url, why in zip(urls, pool.map(_why_unreachable, urls), strict=True) if why]


def _urls(declarations: Declarations) -> Iterator[str]:
    for distribution in declarations.distributions:
        for behavior in distribution.behaviors:
            if behavior.origin is None:
                continue
            yield from _urls_of(declarations, declarations.origin(behavior.origin))


def _urls_of(declarations: Declarations, origin: Origin) -> Iterator[str]:
    match origin:
        case HttpOrigin():
            yield origin.url
        case OriginGroup():
            for member in origin.group:
                yield from _urls_of(declarations, declarations.origin(member))
        case RegionalOrigin():
            # An edge has its own; asked of what is for every edge, all are meant.
            for member in origin.members:
                yield from _urls_of(declarations, declarations.origin(member))
        case S3():
            if origin.endpoint is not None:
                yield origin.endpoint
        case Model() | ModelGroup():
            # Files of this machine.
            return


def _why_unreachable(url: str) -> str | None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _TIMEOUT_SECONDS).close()
    except TimeoutError:
        return f"no answer within {_TIMEOUT_SECONDS:.0f} s"
    except socket.gaierror:
        return "the name is not known"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None
