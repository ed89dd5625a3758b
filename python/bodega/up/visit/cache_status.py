"""Reads what became of a request from its `Cache-Status` (RFC 9211)."""

from __future__ import annotations


def outcome(said: str, name: str) -> str:
    """Return the outcome that the edge called `name` reports.

    Args:
        said: The field; several caches may have added to it.
        name: The edge.

    Returns:
        ``hit``, ``stale``, ``revalidated``, ``miss``, ``collapsed``, ``pass``, or ``none`` where it says nothing.
    """
    for member in said.split(","):
        cache, *parameters = (part.strip() for part in member.split(";"))
        if cache.strip('"') == name:
            return _outcome(dict(parameter.partition("=")[::2] for parameter in parameters))
    return "none"


def _outcome(parameters: dict[str, str]) -> str:
    # RFC 9211 section 2.3: a negative ttl means that what was given was stale.
    was_stale = parameters.get("ttl", "").startswith("-") or parameters.get("detail") in _STALE_DETAILS
    if "hit" in parameters:
        return "stale" if was_stale else "hit"
    if "collapsed" in parameters:
        return "collapsed"
    forwarded = parameters.get("fwd")
    if forwarded is None:
        return "none"
    if forwarded in ("bypass", "method"):
        return "pass"
    if parameters.get("fwd-status") == "304":
        return "revalidated"
    return "stale" if was_stale else "miss"


_STALE_DETAILS = frozenset({"if-error", "while-revalidate"})
