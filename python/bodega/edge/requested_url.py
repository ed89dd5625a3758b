"""Which URL is meant where a request to an edge in this process names a path alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from bodega.distributions import Declarations

Fields = list[tuple[str, bytes]]


def requested_url(
    path: str, headers: Fields, declared: Declarations, find_own_url: Callable[[], str]
) -> tuple[str, Fields]:
    """Return the whole URL of what is asked for, and the fields that go with it.

    Args:
        path: A path with its query, or a whole URL.
        headers: The fields of the request; a `host` among them says which host is meant.
        declared: What the edge serves.
        find_own_url: Says where the edge listens, which is its host where it serves every host.
    """
    if "://" in path:
        return path, headers
    host = _host(headers, declared) or urlsplit(find_own_url()).netloc or "localhost"
    url = f"http://{host}{path if path.startswith('/') else f'/{path}'}"
    return url, [(name, value) for name, value in headers if name.lower() != "host"]


def _host(headers: Fields, declared: Declarations) -> str | None:
    for name, value in headers:
        if name.lower() == "host":
            return value.decode("latin-1")
    hosts = [str(host) for distribution in declared.distributions for host in distribution.hosts]
    # An exact host first; where every host is served, the address is one; and some name for a wildcard.
    exact = next((host for host in hosts if "*" not in host), None)
    if exact is not None:
        return exact
    return None if "*" in hosts or not hosts else hosts[0].replace("*", "www", 1)
