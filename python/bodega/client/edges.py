"""The edges of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bodega.client.answers import FleetEdge, Invitation, read
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.client.connection import Connection
    from bodega.units import Duration


class Edges:
    """Which edges there are, and what is to become of them."""

    def __init__(self, connection: Connection) -> None:
        """Keep whom to ask."""
        self._connection = connection

    def list(self) -> list[FleetEdge]:
        """List the edges of the fleet, by name."""
        return [read(FleetEdge, each) for each in self._connection.ask("GET", "/v1/edges", again=True)]

    def show(self, name: str) -> FleetEdge:
        """Show one edge.

        Raises:
            ControlRefused: If there is none of that name (status 404).
        """
        return read(FleetEdge, self._connection.ask("GET", _path(name), again=True))

    def invite(
        self,
        name: str,
        *,
        region: str | None = None,
        kind: str | None = None,
        place: tuple[float, float] | None = None,
        capacity: float | None = None,
        expires_in: Duration | None = None,
        url: str | None = None,
    ) -> Invitation:
        """Make a token for one edge, and the command to run on its machine. An earlier invitation of it ends.

        Args:
            name: The edge's name in the fleet: up to 63 lower-case letters, digits, ``-`` and ``.``.
            region: Its region; what is left out the edge's own settings say.
            kind: ``"regional"``, ``"shield"`` or ``"embedded"``.
            place: Latitude and longitude in degrees.
            capacity: Relative to other edges.
            expires_in: When its token ends; by default never.
            url: The control process as the edge reaches it; by default as this client does.

        Raises:
            ControlRefused: If an edge of that name belongs to the fleet already (status 409).
        """
        said: dict[str, Any] = {"name": name, "url": url or self._connection.url}
        given = {"region": region, "kind": kind, "place": place, "capacity": capacity}
        said |= {key: value for key, value in given.items() if value is not None}
        if expires_in is not None:
            said["expires_in_seconds"] = parse_duration(expires_in)
        return read(Invitation, self._connection.ask("POST", "/v1/edges/invitations", said))

    def drain(self, name: str) -> FleetEdge:
        """Give an edge no new clients."""
        return read(FleetEdge, self._connection.ask("POST", f"{_path(name)}/drain", again=True))

    def resume(self, name: str) -> FleetEdge:
        """Give a drained edge clients again."""
        return read(FleetEdge, self._connection.ask("POST", f"{_path(name)}/resume", again=True))

    def remove(self, name: str) -> None:
        """Take an edge out of the fleet; tokens that are for it alone end."""
        self._connection.ask("DELETE", _path(name))


def _path(name: str) -> str:
    return f"/v1/edges/{quote(name, safe='')}"
