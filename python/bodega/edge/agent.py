"""Follows a control process: applies what the journal says, and says how far that is.

Two threads: one reads the stream and hands each batch to the native core as it came, the other says every second, and
as soon as something was applied, that the edge is here and where. What the native core holds of the journal (its place,
with a disk across restarts) is all that is asked for again; nothing here has to be remembered.
`docs/concepts/journal.md` describes the stream.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlencode, urlsplit

from bodega.config import parse_config
from bodega.edge.following import JournalPlace
from bodega.errors import BodegaError, ControlRefused

if TYPE_CHECKING:
    from bodega.edge.running import RunningEdge

HEARTBEAT_SECONDS = 1.0
CUT_SECONDS = 3.0
"""A stream that says nothing for so long, three heartbeats, has been cut."""

_LEAST_WAIT_SECONDS = 0.1
_MOST_WAIT_SECONDS = 5.0
_LONGEST_LINE = 32 << 20

Say: TypeAlias = Callable[[Literal["note", "warning"], str], None]


@dataclass(frozen=True, slots=True)
class ControlLink:
    """Which control process is followed, and as whom.

    Attributes:
        url: Where it is: ``https://control.example.com``.
        token: With the scope ``edges``.
        name: The edge's name in the fleet.
        region: Its region.
        instance: Of this process; nobody else has it.
    """

    url: str
    token: str = field(repr=False)
    name: str
    region: str
    instance: str = field(default_factory=lambda: secrets.token_hex(8))


class Agent:
    """Follows, on threads of its own, until it is stopped."""

    def __init__(self, edge: RunningEdge, link: ControlLink, say: Say) -> None:
        """Keep what is followed.

        Args:
            edge: Which applies.
            link: Whom to follow.
            say: Is told what people should know.
        """
        self._edge = edge
        self._link = link
        self._say = say
        self._stopping = threading.Event()
        self._applied = threading.Event()
        self._revision: int | None = None
        self._problem = ""
        self._is_cut = False
        self._wait_seconds = _LEAST_WAIT_SECONDS
        self._stream: http.client.HTTPConnection | None = None
        self._kept = threading.local()
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in (("bodega-follow", self._follow), ("bodega-heartbeat", self._beat))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End. May be called again."""
        self._stopping.set()
        self._applied.set()
        stream = self._stream
        if stream is not None and stream.sock is not None:
            with contextlib.suppress(OSError):
                stream.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
            if kept is not None:
                kept.close()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._register()
                self._read_stream()
            except (OSError, http.client.HTTPException, ValueError, KeyError, BodegaError) as error:
                if self._stopping.is_set():
                    return
                if not self._is_cut:
                    self._is_cut = True
                    self._say("warning", f"cut off from {self._link.url}, what is here goes on being served: {error}")
            # Not all of a fleet at once, after the process they all follow was away.
            self._stopping.wait(self._wait_seconds * (0.5 + secrets.randbelow(1000) / 1000))
            self._wait_seconds = min(2 * self._wait_seconds, _MOST_WAIT_SECONDS)

    def _register(self) -> None:
        said = {"instance": self._link.instance, "region": self._link.region}
        self._ask("PUT", f"/v1/edges/{self._link.name}", said)

    def _read_stream(self) -> None:
        connection = self._connect(CUT_SECONDS)
        self._stream = connection
        try:
            place = self._edge.place
            query = "" if place is None else f"?{urlencode(asdict(place))}"
            connection.request("GET", f"/v1/journal/stream{query}", headers=self._headers())
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise _refused(answer)
            while not self._stopping.is_set():
                line = answer.readline(_LONGEST_LINE)
                if not line:
                    raise ConnectionError("the stream has ended")
                self._take(line)
        finally:
            self._stream = None
            connection.close()

    def _take(self, line: bytes) -> None:
        # A batch is not looked into here: it goes to the native core as it came.
        if line.startswith(b'{"kind":"batch"'):
            self._apply(line)
            return
        said = json.loads(line)
        match said.get("kind"):
            case "hello":
                if self._edge.place is None:
                    self._join(said, trusted=not self._has_something())
            case "parted":
                self._say(
                    "warning",
                    f"the journal is not the one that was followed ({said.get('why')}): what is stored is confirmed by "
                    "its origin before it is used",
                )
                self._join(said, trusted=False)
            case _:
                return
        # After it is known from where it goes on: what is stored before that would have to be confirmed.
        self._configure(0)
        self._wait_seconds = _LEAST_WAIT_SECONDS
        if self._is_cut:
            self._is_cut = False
            self._say("note", f"following {self._link.url} again")
        self._applied.set()

    def _join(self, said: Mapping[str, Any], *, trusted: bool) -> None:
        place = JournalPlace(said["journal"], said["epoch"], said["position"], said["chain"])
        self._edge.join(place, trusted=trusted)

    def _has_something(self) -> bool:
        stats = self._edge.stats()
        disk = stats.disk
        return stats.n_entries > 0 or (disk is not None and (disk.n_entries > 0 or not disk.recovered))

    def _apply(self, batch: bytes) -> None:
        followed = self._edge.follow(batch, configured=self._revision)
        while followed.waits_for_configuration is not None:
            self._configure(followed.waits_for_configuration)
            followed = self._edge.follow(batch, configured=self._revision)
        self._applied.set()
        stopped = followed.stopped_at
        if stopped is not None:
            self._problem = f"event {stopped.position} ({stopped.type}, version {stopped.version}) is not known here"
            raise ControlRefused(self._problem, hint="install the bodega that the control process has")

    def _configure(self, revision: int) -> None:
        """Put a revision in force; 0 is the newest. One that cannot be used leaves the one before in force."""
        try:
            said = self._ask("GET", f"/v1/edges/{self._link.name}/configuration?revision={revision}")
        except ControlRefused as error:
            if revision == 0 and error.status == http.HTTPStatus.NOT_FOUND:
                return  # Nothing was published yet.
            raise
        if said["revision"] == self._revision:
            return
        try:
            self._edge.reload(parse_config(said["text"], f"revision {said['revision']}").declarations)
            self._problem = ""
            self._say("note", f"revision {said['revision']} of {self._link.url} is in force")
        except BodegaError as error:
            self._problem = f"revision {said['revision']} cannot be used here: {error}"[:1000]
            self._say("warning", self._problem)
        # Also if it cannot: what was invalidated after it must not wait for it.
        self._revision = int(said["revision"])

    def _beat(self) -> None:
        while not self._stopping.is_set():
            self._applied.wait(HEARTBEAT_SECONDS)
            self._applied.clear()
            if self._stopping.is_set():
                return
            # The other thread notices that nobody is there, and says so.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, BodegaError):
                self._ask("POST", f"/v1/edges/{self._link.name}/heartbeat", self._heartbeat())

    def _heartbeat(self) -> dict[str, Any]:
        place = self._edge.place
        return {
            "instance": self._link.instance,
            "at": None if place is None else asdict(place),
            "revision": self._revision,
            "problem": self._problem,
            "hit_rate": min(1.0, max(0.0, self._edge.stats().hit_rate)),
        }

    def _ask(self, method: str, path: str, said: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask on this thread's own connection. All that is asked may be asked twice."""
        body = None if said is None else json.dumps(said)
        is_kept = getattr(self._kept, "connection", None) is not None
        try:
            answer = self._answer(method, path, body)
        except (OSError, http.client.HTTPException):
            if not is_kept:
                raise
            # It may have been closed while nothing was asked.
            answer = self._answer(method, path, body)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise _refused(answer)
        result: dict[str, Any] = json.loads(answer.read(_LONGEST_LINE))
        return result

    def _answer(self, method: str, path: str, body: str | None) -> http.client.HTTPResponse:
        connection: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = self._connect(CUT_SECONDS)
        try:
            connection.request(method, path, body, self._headers())
            return connection.getresponse()
        except BaseException:
            self._kept.connection = None
            connection.close()
            raise

    def _connect(self, timeout_seconds: float) -> http.client.HTTPConnection:
        address = urlsplit(self._link.url)
        host = address.hostname or ""
        if address.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, address.port, timeout=timeout_seconds, context=context)
        return http.client.HTTPConnection(host, address.port, timeout=timeout_seconds)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._link.token}", "Content-Type": "application/json"}


def _refused(answer: http.client.HTTPResponse) -> ControlRefused:
    # What is left of a longer one makes the next question take a connection of its own.
    text = answer.read(64 << 10).decode(errors="replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(text)
        return ControlRefused(str(said["error"]), status=answer.status, hint=str(said.get("hint", "")))
    return ControlRefused(f"it answered {answer.status}", status=answer.status)
