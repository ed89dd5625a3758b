"""A fleet behind a control process."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from bodega.client.answers import Event, Health, PurgeProgress, read
from bodega.client.configurations import Configurations
from bodega.client.connection import Connection
from bodega.client.edges import Edges
from bodega.client.finding import ControlAddress, find_control
from bodega.client.purge import Purge
from bodega.client.tokens import Tokens
from bodega.errors import ControlNotFound, SelectorInvalid
from bodega.invalidation import parse_selector
from bodega.units import parse_duration

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_MOST_SELECTORS = 1000
_MOST_BYTES = 800_000
"""Of the selectors of one call: an event of the journal has at most 1 MiB."""
_PAGE = 1000
_TIMEOUT_SECONDS = 10.0
_RETRY_SECONDS = 10.0


class Fleet:
    """Everything that a control process knows and does. May be used by several threads at once.

    Attributes:
        edges: Which there are.
        configurations: What they serve.
        tokens: Who may do what.
    """

    def __init__(
        self,
        address: ControlAddress,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        retry_seconds: float = _RETRY_SECONDS,
    ) -> None:
        """Keep whom to ask; nothing is asked yet. `connect` finds the address."""
        self.address = address
        self._connection = Connection(
            address.url, address.token, timeout_seconds=timeout_seconds, retry_seconds=retry_seconds
        )
        self.edges = Edges(self._connection)
        self.configurations = Configurations(self._connection)
        self.tokens = Tokens(self._connection)

    @property
    def url(self) -> str:
        """Where the control process is."""
        return self.address.url

    def invalidate(
        self,
        *,
        urls: Sequence[str] = (),
        tags: Sequence[str] = (),
        prefixes: Sequence[str] = (),
        patterns: Sequence[str] = (),
        models: Sequence[str] = (),
        selectors: Sequence[str] = (),
        soft: bool = False,
        key: str | None = None,
    ) -> Purge:
        """Make all edges forget something. Once this returns it is in the journal, and lost no more.

        More than 1,000 selectors go in several calls.

        Args:
            urls: ``"https://host/path"``, each in all its variants.
            tags: ``"product:42"``, or a pattern: ``"user:123:*"``.
            prefixes: ``"https://host/folder/"``: everything below it.
            patterns: ``"host/*.webp"``: every URL that matches.
            models: ``"fraud"``: all answers of a model, of all versions; ``"fraud@v3"`` is one of them.
            selectors: As the command line takes them: ``"tag:NAME"``, ``"distribution:NAME"``, ``"all"``.
            soft: Make it stale instead: it may answer while it is validated.
            key: The same call with the same key counts once, also tomorrow; by default each call has one of its own,
                so that it can be repeated after a cut.

        Raises:
            SelectorInvalid: If one selects nothing, or there is none; then nothing is forgotten.
            ControlNotFound: If nobody answers.
            ControlRefused: If it was not done: the token may not, or too much was asked for (status 403, 429).
        """
        written = [
            *urls,
            *(f"tag:{each}" for each in tags),
            *(f"prefix:{each}" for each in prefixes),
            *(f"glob:{each}" for each in patterns),
            *(f"model:{each}" for each in models),
            *selectors,
        ]
        for name, texts in (("urls", urls), ("tags", tags), ("selectors", selectors)):
            if isinstance(texts, str):
                raise SelectorInvalid(f"`{name}` is a list", selector=texts, hint=f'write {name}=["{texts}"]')
        checked = [parse_selector(each).text for each in written]
        if not checked:
            raise SelectorInvalid("nothing is named that could be forgotten", hint='name tags=["..."] or urls=["..."]')
        said_key = key or secrets.token_hex(16)
        parts = list(_parts(checked))
        begun: list[PurgeProgress] = []
        for number, part in enumerate(parts, start=1):
            said = {
                "selectors": part,
                "soft": soft,
                "key": said_key if len(parts) == 1 else f"{said_key}/{number}of{len(parts)}",
            }
            begun.append(read(PurgeProgress, self._connection.ask("POST", "/v1/invalidations", said, again=True)))
        return Purge(self._connection, begun[-1], tuple(each.id for each in begun))

    def purge(self, purge_id: str) -> Purge:
        """Return the handle of an invalidation that somebody asked for earlier.

        Raises:
            ControlRefused: If it is not known (status 404): the last 10,000 are.
        """
        path = f"/v1/invalidations/{quote(purge_id, safe='')}"
        return Purge(self._connection, read(PurgeProgress, self._connection.ask("GET", path, again=True)))

    def purges(self, limit: int = 50) -> list[PurgeProgress]:
        """List invalidations, the newest first."""
        said = self._connection.ask("GET", f"/v1/invalidations?limit={limit}", again=True)
        return [read(PurgeProgress, each) for each in said]

    def audit(self, after: int | None = None, *, limit: int = 100) -> list[Event]:
        """List who changed what, and when, in order.

        Args:
            after: Only events after this position; by default the newest ones.
            limit: How many at most.

        Raises:
            ControlRefused: If they have been compacted away (status 409).
        """
        return list(self._events(after, limit))

    def _events(self, after: int | None, limit: int) -> Iterator[Event]:
        while limit > 0:
            asked: dict[str, Any] = {"limit": min(limit, _PAGE)}
            if after is None and limit > _PAGE:
                after = max(0, self.health().position - limit)
            # Without a place it is the newest page.
            if after is not None:
                asked["after"] = after
            page = self._connection.ask("GET", f"/v1/journal/events?{urlencode(asked)}", again=True)
            events = [read(Event, each) for each in page]
            yield from events
            if len(events) < asked["limit"]:
                return
            limit -= len(events)
            after = events[-1].position

    def health(self) -> Health:
        """Ask whether the control process is well; that needs no token."""
        return read(Health, self._connection.ask("GET", "/health", again=True))

    def close(self) -> None:
        """Let go of the connections. The fleet can be used again."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connections."""
        self.close()

    def __repr__(self) -> str:
        """Say where it is."""
        return f"<Fleet {self.url}>"


def connect(
    url: str | None = None,
    token: str | None = None,
    *,
    token_file: str | Path | None = None,
    insecure: bool = False,
    timeout: str | timedelta = "10s",
) -> Fleet:
    """Return the fleet behind a control process. Nothing is asked yet.

    Example:
        >>> fleet = bodega.connect()  # doctest: +SKIP
        >>> fleet.invalidate(tags=["product:42"]).wait(timeout="30s")  # doctest: +SKIP

    Args:
        url: Where it is; by default what ``BODEGA_CONTROL`` names, else the one of this user that runs here.
        token: By default `token_file`, else ``BODEGA_TOKEN``, else what is in the file that
            ``BODEGA_CONTROL_TOKEN_FILE`` names, else that of the process that runs here.
        token_file: A file with the token.
        insecure: Whether the token may go to another machine by plain HTTP.
        timeout: How long an answer may take.

    Raises:
        ControlNotFound: If nothing names one, and none runs here.
        ConfigInvalid: If the address or the token cannot be used.
    """
    address = find_control(os.environ, url=url, token=token, token_file=token_file, insecure=insecure)
    if address is None:
        raise ControlNotFound(
            "no control process of yours runs here",
            hint="name one: `--control URL`, BODEGA_CONTROL, or connect(url); `bodega control` starts one",
        )
    return Fleet(address, timeout_seconds=parse_duration(timeout))


def _parts(selectors: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    n_bytes = 0
    for selector in selectors:
        size = len(json.dumps(selector)) + 2
        if part and (len(part) == _MOST_SELECTORS or n_bytes + size > _MOST_BYTES):
            yield part
            part, n_bytes = [], 0
        part.append(selector)
        n_bytes += size
    yield part
