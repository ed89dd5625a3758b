"""How an edge asks its control process: whom, as whom, and by which connections."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode, urlsplit

from bodega.config import control_token
from bodega.edge.agent.stream import read_all, read_lines
from bodega.edge.build import build
from bodega.errors import ConfigInvalid, ControlRefused
from bodega.units import parse_duration

if TYPE_CHECKING:
    from bodega.config import EdgeSettings
    from bodega.edge.following import JournalPlace

CUT_SECONDS = 3.0
"""Whoever says nothing for so long, three heartbeats, is away."""
_MAX_REFUSAL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class ControlLink:
    """Which control process is followed, how, and as whom.

    Attributes:
        url: Where it is: ``https://control.example.com``.
        token: With the scope ``edges``.
        name: The edge's name in the fleet.
        region: Its region.
        kind: What kind of edge it is.
        place: Latitude and longitude in degrees, if they are known.
        capacity: How much it can do, relative to others.
        version: Of bodega.
        follow: Whether changes come by a stream, or are asked for.
        poll_seconds: How often, then.
        catch_up_seconds: How long it waits for what it missed, before it serves.
        renew: Returns the token anew, where it is in a file.
        instance: Of this process; nobody else has it.
    """

    url: str
    token: str = field(repr=False)
    name: str
    region: str
    kind: str = "regional"
    place: tuple[float, float] | None = None
    capacity: float = 1.0
    version: str = ""
    follow: Literal["stream", "poll"] = "stream"
    poll_seconds: float = 10.0
    catch_up_seconds: float = 5.0
    renew: Callable[[], str] | None = field(default=None, repr=False)
    instance: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def from_settings(cls, settings: EdgeSettings, environment: Mapping[str, str]) -> ControlLink | None:
        """Return what settings say, if they name a control process.

        Args:
            settings: What is of this machine.
            environment: Where the token is looked for, if settings name no file with it.

        Raises:
            ConfigInvalid: If there is no token.
        """
        if settings.control is None:
            return None
        place = tuple(settings.place)
        return cls(
            url=settings.control,
            token=_token_of(settings, environment),
            renew=None if settings.control_token_file is None else lambda: _token_of(settings, {}),
            name=settings.name,
            region=settings.region,
            kind=settings.kind,
            place=(place[0], place[1]) if place else None,
            capacity=settings.capacity,
            version=build()["version"],
            follow="poll" if settings.follow == "poll" else "stream",
            poll_seconds=parse_duration(settings.poll_every),
            catch_up_seconds=parse_duration(settings.catch_up_wait),
        )

    def of_another_process(self) -> ControlLink:
        """Return the same for a process, or a start, that is another one."""
        return replace(self, instance=secrets.token_hex(8))


def _token_of(settings: EdgeSettings, environment: Mapping[str, str]) -> str:
    """Return the token that settings or the variable ``BODEGA_TOKEN`` name.

    Raises:
        ConfigInvalid: If there is none.
    """
    if settings.control_token_file is None:
        token, named = environment.get("BODEGA_TOKEN", ""), "BODEGA_TOKEN"
    else:
        named = settings.control_token_file
        try:
            with Path(named).expanduser().open() as file:
                token = file.read(_MAX_REFUSAL_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "no text"
            raise ConfigInvalid(f"{named}: {what}", path=("--control-token-file",)) from None
    if not token.strip():
        hint = "set BODEGA_TOKEN, or name a file by `--control-token-file`"
        raise ConfigInvalid("there is no token for the control process", hint=hint, path=("--control",))
    return control_token(token, named, "--control-token-file")


class Caller:
    """Asks, each thread on a connection of its own, until it is closed."""

    def __init__(self, link: ControlLink) -> None:
        """Ask nothing yet."""
        self._link = link
        self._token = link.token
        self._kept = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, method: str, path: str, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and return what is answered. All that is asked may be asked twice.

        Raises:
            ControlRefused: If it answers that it will not.
            OSError: If there is no answer.
            http.client.HTTPException: If what answers speaks no HTTP.
            ValueError: If the answer is none.
        """
        body = None if said is None else json.dumps(said)
        is_kept = getattr(self._kept, "connection", None) is not None
        try:
            answer = self._answer(method, path, body)
        except (OSError, http.client.HTTPException):
            if not is_kept or self._is_closed:
                raise
            # It may have been closed while nothing was asked.
            answer = self._answer(method, path, body)
        if answer.status != http.HTTPStatus.OK:
            raise _refused(answer)
        try:
            result = json.loads(read_all(answer))
        except BaseException:
            self._forget()
            raise
        if not isinstance(result, dict):
            raise ValueError("not an object")  # noqa: TRY004 - What came is wrong, not who called.
        return result

    def follow(self, place: JournalPlace | None) -> Iterator[bytes]:
        """Yield the lines of the stream from a place on.

        Raises:
            ControlRefused: If it answers that it will not.
            OSError: If nothing comes.
            http.client.HTTPException: If what answers speaks no HTTP.
            ValueError: If a line has no end.
        """
        connection = self._connect()
        try:
            query = "" if place is None else f"?{urlencode(asdict(place))}"
            connection.request("GET", f"/v1/journal/stream{query}", headers=self._headers())
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise _refused(answer)
            yield from read_lines(answer)
        finally:
            self._close(connection)

    def renew_token(self) -> None:
        """Ask with the token that is in its file by now, if it is in a file and there is one."""
        if self._link.renew is not None:
            with contextlib.suppress(ConfigInvalid):
                self._token = self._link.renew()

    def release(self) -> None:
        """Close the connection of this thread: it asks no more."""
        self._forget()

    def close(self) -> None:
        """End whatever is being asked, on all threads. Nothing is asked from then on."""
        with self._lock:
            self._is_closed = True
            for connection in self._open:
                # Not closed: its thread wakes, and closes it.
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def _answer(self, method: str, path: str, body: str | None) -> http.client.HTTPResponse:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = self._connect()
        try:
            connection.request(method, path, body, self._headers())
            return connection.getresponse()
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        self._kept.connection = None
        if connection is not None:
            self._close(connection)

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self._link.url)
        host = address.hostname or ""
        if address.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, address.port, timeout=CUT_SECONDS, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, address.port, timeout=CUT_SECONDS)
        connection.connect()
        with self._lock:
            if not self._is_closed:
                self._open.add(connection)
                return connection
        connection.close()
        raise ConnectionError("nothing is asked any more")

    def _close(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}


def _refused(answer: http.client.HTTPResponse) -> ControlRefused:
    # What is left of a longer one makes the next question take a connection of its own.
    text = answer.read(_MAX_REFUSAL_BYTES).decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        said = json.loads(text)
        return ControlRefused(str(said["error"])[:1000], status=answer.status, hint=str(said.get("hint", ""))[:1000])
    return ControlRefused(f"it answered {answer.status}", status=answer.status)
