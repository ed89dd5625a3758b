"""Asks an edge's admin listener: is it ready, what has it done, and may it please forget something."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass

from bodega.errors import AdminRefused, EdgeNotFound
from bodega.up.counts import EdgeCounts

_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin listener at ``host:port``."""

    address: str

    def is_ready(self) -> bool:
        """Whether the edge serves."""
        try:
            status, _ = self._ask("GET", "/ready")
        except EdgeNotFound:
            return False
        return status == http.client.OK

    def counts(self) -> EdgeCounts:
        """Return what the edge has done so far.

        Raises:
            EdgeNotFound: If it does not answer.
        """
        return EdgeCounts.from_json(self._answer("GET", "/stats"))

    def invalidate(self, selectors: list[str]) -> int:
        """Make the edge forget what the selectors name; return the number of the invalidation.

        Raises:
            AdminRefused: If it will not.
            EdgeNotFound: If it does not answer.
        """
        answer = json.loads(self._answer("POST", "/invalidate", json.dumps({"selectors": selectors})))
        return int(answer["sequence"])

    def _answer(self, method: str, path: str, body: str | None = None) -> bytes:
        status, content = self._ask(method, path, body)
        if status != http.client.OK:
            said = content.decode(errors="replace").strip()
            raise AdminRefused(f"{method} {path} was answered {status}: {said}", status=status, address=self.address)
        return content

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=_TIMEOUT_SECONDS)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise EdgeNotFound(f"nobody answers at {self.address}: {error}", address=self.address) from error
        finally:
            connection.close()
