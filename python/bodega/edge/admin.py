"""Talks with running edges through their admin listeners, and finds those of this user."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from bodega.edge.cache import EdgeCache
from bodega.edge.models import ModelSwap, ModelVersion
from bodega.edge.stats import EdgeStats
from bodega.errors import AdminRefused, EdgeNotFound, InvalidationRefused, ModelRefused
from bodega.invalidation import parse_selector
from bodega.runtime import running_sockets

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_SECONDS = 10.0
_LOAD_SECONDS = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Invalidated:
    """What became of an invalidation.

    Attributes:
        sequence: Its number in the edge's sequence.
        durable: Whether it holds after a restart: false while the edge's disk fails.
    """

    sequence: int
    durable: bool


@dataclass(frozen=True, slots=True)
class AdminClient:
    """The admin listener of one edge.

    Attributes:
        address: ``unix:/path``, ``http://127.0.0.1:9180``, ``https://host:port`` or ``host:port``.
        pid: The edge's process, if known.
        token: Bearer token, for listeners that ask for one.
    """

    address: str
    pid: int | None = None
    token: str | None = field(default=None, repr=False)

    def stats(self) -> EdgeStats:
        """Ask what the edge has done so far.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return EdgeStats.from_json(self._ask("GET", "/stats"))

    def invalidate(self, selectors: Sequence[str], *, soft: bool = False) -> Invalidated:
        """Make the edge forget what the selectors name, or with `soft` take it for stale.

        Raises:
            SelectorInvalid: If one selects nothing.
            InvalidationRefused: If the edge has no room for more pattern rules, or follows a control process.
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        texts = [parse_selector(each).text for each in selectors]
        asked = json.dumps({"selectors": texts, "soft": soft})
        answer: dict[str, Any] = json.loads(self._ask("POST", "/invalidate", asked))
        return Invalidated(int(answer["sequence"]), bool(answer["durable"]))

    def models(self) -> list[ModelVersion]:
        """Ask which models are loaded.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return ModelVersion.all_from_json(self._ask("GET", "/models"))

    def update_model(self, model: str, path: str | Path | None = None, *, version: str | None = None) -> ModelSwap:
        """Put another version of a model in force; wait until the old one is gone and its predictions forgotten.

        Args:
            model: Its name.
            path: The file, as the edge reaches it; None reads the file again that it has.
            version: What the version is called; None for the beginning of the digest of its contents.

        Raises:
            ModelRefused: If it cannot be loaded, or another one is being loaded; nothing changes then.
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        asked = {"model": model, "path": None if path is None else str(path), "version": version}
        return ModelSwap.from_json(self._change("/admin/update_model", asked))

    def unload_model(self, model: str, version: str | None = None) -> ModelSwap:
        """Take a version of a model out of force, by default the default one, until it is loaded again.

        Raises:
            ModelRefused: If there is none.
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return ModelSwap.from_json(self._change("/admin/unload_model", {"model": model, "version": version}))

    def _change(self, path: str, asked: dict[str, str | None]) -> str:
        # Loading has bounds of its own.
        status, content = self._exchange("POST", path, json.dumps(asked), _LOAD_SECONDS)
        if status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT, http.HTTPStatus.UNPROCESSABLE_ENTITY):
            raise ModelRefused(f"the edge at {self.address}: {_error_in(content)}")
        return self._checked(status, content)

    @property
    def cache(self) -> EdgeCache:
        """What the edge keeps."""
        return EdgeCache(self)

    def cache_entries(self, query: str) -> str:
        """Ask for a page of what is kept, as JSON; `EdgeCache.ls` reads it.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return self._ask("GET", f"/cache/entries?{query}")

    def cache_show(self, url: str) -> str:
        """Ask what is kept of a URL, as JSON; `EdgeCache.show` reads it.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses: it may be no URL, or none that it serves.
        """
        return self._ask("GET", f"/cache/show?{urlencode({'url': url})}")

    def begin_cache_check(self) -> None:
        """Let the edge check everything on disk; `EdgeCache.verify` waits for it.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses: it may have no disk.
        """
        self._ask("POST", "/cache/verify", "{}")

    def cache_check(self) -> str:
        """Ask how far the check is, as JSON.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return self._ask("GET", "/cache/verify")

    def metrics(self) -> str:
        """Ask for the metrics in Prometheus' text format.

        Raises:
            EdgeNotFound: If nobody answers at the address.
            AdminRefused: If the edge refuses.
        """
        return self._ask("GET", "/metrics")

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        status, content = self._exchange(method, path, body, _TIMEOUT_SECONDS)
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:
            raise InvalidationRefused(f"the edge at {self.address}: {content.strip()[:300]}")
        if status == http.HTTPStatus.CONFLICT:
            raise InvalidationRefused(f"the edge at {self.address}: {_error_in(content)}")
        return self._checked(status, content)

    def _checked(self, status: int, content: str) -> str:
        if status != http.HTTPStatus.OK:
            raise AdminRefused(
                f"the edge at {self.address} refused: {status} {content.strip()[:300]}",
                status=status,
                address=self.address,
                hint="set BODEGA_ADMIN_TOKEN" if status in (401, 403) and not self.token else "",
            )
        return content

    def _exchange(self, method: str, path: str, body: str | None, timeout: float) -> tuple[int, str]:
        headers = {"Accept": "application/json, text/plain"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = self._connection(timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise EdgeNotFound(
                f"no edge answers at {self.address}: {error}",
                address=self.address,
                hint="`bodega status` lists those that run",
            ) from error
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self.address.startswith("unix:"):
            return _UnixConnection(self.address.removeprefix("unix:"), timeout)
        parts = urlsplit(self.address if "://" in self.address else f"http://{self.address}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if host is None or parts.scheme not in ("http", "https"):
            raise EdgeNotFound(
                f'"{self.address}" is not the address of an admin listener',
                address=self.address,
                hint='use "unix:/path", "127.0.0.1:9180" or "https://host:port"',
            )
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=timeout)


def _error_in(content: str) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(content)["error"])[:300]
    return content.strip()[:300]


def find_edges(environment: Mapping[str, str]) -> list[AdminClient]:
    """Find the running edges of this user, by their admin sockets."""
    token = environment.get("BODEGA_ADMIN_TOKEN") or None
    return [AdminClient(f"unix:{path}", pid, token) for pid, path in running_sockets(environment)]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
