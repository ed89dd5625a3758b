"""Hands the listening sockets of an old process to a new one, so that an upgrade refuses no connection.

The old process waits at a Unix socket that only its user can reach. The exchange, in lines of JSON:

    new → old   {"bodega": 1, "want": "listeners", "knows": ["tls"]}
    old → new   {"count": n, "tls": m}, and n descriptors, in groups; the last m are for TLS
    new → old   {"bodega": 1, "ready": true}        once it serves
    old → new   {"draining": true}                  then finishes what is under way and ends

An old process that follows a control process says with the listeners by what it is known there, `"follows": "..."`. It
leaves there before it says that it drains, and the new one is the edge of that name from then on.

A successor that does not know of TLS gets none of those: it would speak HTTP there.
If the new process goes away before it is ready, the old one goes on as if nothing had been.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from bodega.edge.listeners import Listeners
from bodega.errors import HandoverFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

_GROUP = 64  # The kernel takes at most 253 descriptors in one message.
_ASK_SECONDS = 10.0
_READY_SECONDS = 120.0  # A new process may take its time to start.
_LONGEST_LINE = 4096


class HandoverServer:
    """The old process's side: waits for a successor, on a thread of its own."""

    def __init__(
        self,
        path: Path,
        listeners: Callable[[], Listeners],
        handed_over: Callable[[], None],
        *,
        follows: str | None = None,
        let_go: Callable[[], None] = lambda: None,
        take_back: Callable[[], None] = lambda: None,
    ) -> None:
        """Listen.

        Args:
            path: Where; replaced if somebody left it behind.
            listeners: Returns what is handed over.
            handed_over: Called once a successor serves, on the server's thread.
            follows: What a control process knows this process by.
            let_go: Called before a successor that serves is answered: what only one of the two may do ends here.
            take_back: Called if it could not be answered, after all.
        """
        self._path = path
        self._listeners = listeners
        self._handed_over = handed_over
        self._follows = follows
        self._let_go = let_go
        self._take_back = take_back
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(4)
        self._thread = threading.Thread(target=self._serve, name="bodega-handover", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop waiting and remove the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                successor, _ = self._socket.accept()
            except OSError:
                return
            with successor:
                try:
                    if self._hand_over(successor):
                        self._handed_over()
                        return
                except (OSError, ValueError):
                    continue  # The successor went away or spoke nonsense: this process goes on serving.

    def _hand_over(self, successor: socket.socket) -> bool:
        successor.settimeout(_ASK_SECONDS)
        if _peer_uid(successor) not in (os.getuid(), 0):
            return False
        asked = _receive(successor)
        if asked.get("want") != "listeners":
            return False
        listeners = self._listeners()
        knows = asked.get("knows")
        tls = listeners.tls if isinstance(knows, list) and "tls" in knows else ()
        descriptors = [*listeners.plain, *tls]
        follows = {} if self._follows is None else {"follows": self._follows}
        _send(successor, {"count": len(descriptors), "tls": len(tls), **follows})
        for start in range(0, len(descriptors), _GROUP):
            socket.send_fds(successor, [b"."], descriptors[start : start + _GROUP])
        successor.settimeout(_READY_SECONDS)
        if _receive(successor).get("ready") is not True:
            return False
        self._let_go()
        try:
            _send(successor, {"draining": True})
        except OSError:
            self._take_back()
            raise
        return True


class Predecessor:
    """The new process's side: asks for the listeners, and says when it serves."""

    def __init__(self, path: Path, pid: int) -> None:
        """Ask.

        Args:
            path: Where the old process waits.
            pid: The old process.

        Raises:
            HandoverFailed: If nobody hands anything over.
        """
        self._pid = pid
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_ASK_SECONDS)
        try:
            self._socket.connect(str(path))
            _send(self._socket, {"bodega": 1, "want": "listeners", "knows": ["tls"]})
            answer = _receive(self._socket)
            follows = answer.get("follows")
            self.follows = follows if isinstance(follows, str) else None
            self.listeners = _receive_listeners(self._socket, answer)
        except (OSError, ValueError, KeyError) as error:
            self._socket.close()
            raise HandoverFailed(
                f"process {pid} did not hand over its listeners: {error}",
                pid=pid,
                hint="`bodega status` lists the edges of this user that run",
            ) from error

    def serving(self) -> None:
        """Tell the old process to finish and end.

        Raises:
            HandoverFailed: If it is gone.
        """
        try:
            _send(self._socket, {"bodega": 1, "ready": True})
            _receive(self._socket)
        except (OSError, ValueError) as error:
            raise HandoverFailed(f"process {self._pid} went away: {error}", pid=self._pid) from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the old process go on, unless `serving` was called."""
        self._socket.close()


def _send(peer: socket.socket, message: dict[str, Any]) -> None:
    peer.sendall(json.dumps(message).encode() + b"\n")


def _receive(peer: socket.socket) -> dict[str, Any]:
    line = b""
    # Byte by byte: what follows a line may carry descriptors, and a larger read would take their byte along.
    while not line.endswith(b"\n"):
        byte = peer.recv(1)
        if not byte or len(line) > _LONGEST_LINE:
            raise ConnectionError("the other process went away")
        line += byte
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message")  # noqa: TRY004 - What came is wrong, not who called.
    return message


def _receive_listeners(peer: socket.socket, answer: dict[str, Any]) -> Listeners:
    # A predecessor that does not know of TLS has no such listeners.
    count, n_tls = int(answer["count"]), int(answer.get("tls", 0))
    descriptors: list[int] = []
    while len(descriptors) < count:
        data, received, _, _ = socket.recv_fds(peer, 1, _GROUP)
        if not data:
            for descriptor in descriptors:
                os.close(descriptor)
            raise ConnectionError("the other process went away")
        descriptors.extend(received)
    if not descriptors:
        raise ValueError("it has no listeners")
    n_plain = count - n_tls
    return Listeners(tuple(descriptors[:n_plain]), tuple(descriptors[n_plain:]))


def _peer_uid(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
