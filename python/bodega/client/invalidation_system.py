"""Invalidation by keys, as applications name what they cache: ``model:fraud``, ``user:123:*``, or a URL."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TypeAlias

from bodega.client.fleet import Fleet, connect
from bodega.client.purge import DirectPurge, Purge
from bodega.edge import AdminClient, EdgeServer
from bodega.errors import BodegaError, PurgeUnfinished, SelectorInvalid
from bodega.invalidation import parse_selector

Edges: TypeAlias = Fleet | str | Sequence[EdgeServer | AdminClient | str] | None
_SELECTORS = ("tag:", "prefix:", "glob:", "distribution:")


class CacheInvalidationSystem:
    """Makes edges forget what applications know by keys.

    A key is a tag of the answers (``Cache-Tag: user:123:profile``), or a URL; selectors of the command line are taken
    as they are.

    Example:
        >>> system = bodega.CacheInvalidationSystem([edge])  # doctest: +SKIP
        >>> system.invalidate(["prediction:fraud:*"], pattern=True).wait()  # doctest: +SKIP

    What is returned can be waited for (`wait`) or awaited.

    Args:
        edges: A fleet, or the URL of its control process; by default the one that `bodega.connect` finds. Or a list of
            edges without one: `EdgeServer` in this process, or addresses of admin listeners.
    """

    def __init__(self, edges: Edges = None) -> None:
        """Keep who is to be told."""
        self._fleet: Fleet | None = None
        self._edges: tuple[EdgeServer | AdminClient, ...] = ()
        if isinstance(edges, Fleet):
            self._fleet = edges
        elif edges is None or isinstance(edges, str):
            self._fleet = connect(edges)
        else:
            token = os.environ.get("BODEGA_ADMIN_TOKEN") or None
            self._edges = tuple(AdminClient(each, token=token) if isinstance(each, str) else each for each in edges)

    def invalidate(
        self, keys: str | Sequence[str], pattern: bool = False, *, soft: bool = False
    ) -> Purge | DirectPurge:
        """Make all edges forget what has one of the keys.

        Args:
            keys: ``"user:123:profile"``, ``"https://host/path"``; one, or a list.
            pattern: Whether ``*`` stands for any run of characters: ``"user:123:*"``. Without it a key with ``*`` is
                refused, because it would reach nothing.
            soft: Make it stale instead: it may answer while it is validated.

        Raises:
            SelectorInvalid: If one is no key; then nothing is forgotten.
            PurgeUnfinished: If not every edge of a list could be told.
            ControlRefused: If the control process did not do it.
        """
        written = [keys] if isinstance(keys, str) else list(keys)
        return self._send([_selector(key, pattern=pattern) for key in written], soft=soft)

    def invalidate_prefix(self, prefix: str, *, soft: bool = False) -> Purge | DirectPurge:
        """Make all edges forget what begins so: ``"user:123:"`` or ``"user:123:*"``, or a URL.

        Raises:
            SelectorInvalid: If nothing could begin so.
        """
        bare = prefix.removesuffix("*")
        if not bare or "*" in bare:
            raise SelectorInvalid(
                f'"{prefix}" is no prefix', selector=prefix, hint='for instance "user:123:*"; "all" is everything'
            )
        return self._send([f"prefix:{bare}" if "://" in bare else f"tag:{bare}*"], soft=soft)

    def invalidate_model_update(self, model_id: str, *, soft: bool = False) -> Purge | DirectPurge:
        """Make all edges forget what a model made: its answers, and what is kept under its name.

        That is what carries the tag ``model:ID`` (also with ``@VERSION``), ``prediction:ID`` or ``embedding:ID``, and
        what is below these: ``prediction:ID:42``.

        Args:
            model_id: ``"fraud"``, or ``"fraud@v3"`` for one version.
            soft: Make it stale instead.
        """
        below = [f"tag:{kind}:{model_id}:*" for kind in ("model", "prediction", "embedding")]
        alone = [f"tag:{kind}:{model_id}" for kind in ("prediction", "embedding")]
        return self._send([f"model:{model_id}", *alone, *below], soft=soft)

    def _send(self, selectors: Sequence[str], *, soft: bool) -> Purge | DirectPurge:
        if self._fleet is not None:
            return self._fleet.invalidate(selectors=selectors, soft=soft)
        texts = tuple(parse_selector(each).text for each in selectors)
        if not texts:
            raise SelectorInvalid("nothing is named that could be forgotten", hint="name at least one key")
        begun_ms = time.time_ns() // 1_000_000
        began = time.monotonic()
        applied: dict[str, float] = {}
        failures: dict[str, BodegaError] = {}
        for edge in self._edges:
            try:
                edge.invalidate(*texts, soft=soft) if isinstance(edge, EdgeServer) else edge.invalidate(
                    texts, soft=soft
                )
            except BodegaError as error:
                failures[_name(edge)] = error
            else:
                applied[_name(edge)] = (time.monotonic() - began) * 1000
        if failures:
            said = "; ".join(f"{name}: {error}" for name, error in failures.items())
            raise PurgeUnfinished(
                f"{len(failures)} of {len(self._edges)} edges did not forget: {said}", waiting=failures
            )
        return DirectPurge(texts, applied, soft=soft, time_ms=begun_ms)


def _selector(key: str, *, pattern: bool) -> str:
    if "*" in key and not pattern and not key.startswith(("tag:", "glob:")):
        raise SelectorInvalid(f'"{key}" is a pattern', selector=key, hint="say pattern=True")
    if key == "all" or (key == "*" and pattern):
        return "all"
    if key.startswith(_SELECTORS):
        return key
    if key.startswith(("http://", "https://")):
        return f"glob:{key}" if "*" in key else key
    if key.startswith("model:") and "*" not in key:
        # All versions of it, as on the command line.
        return key
    return f"tag:{key}"


def _name(edge: EdgeServer | AdminClient) -> str:
    return edge.address if isinstance(edge, AdminClient) else edge.url
