"""Light followers: what an edge says and hears, without what it does with it. Many in one process.

Each has a stream and a kept connection for heartbeats, as a real edge's agent has, and checks what it is sent: batches
without a gap, of one journal. It heeds `acknowledge_within_ms` and `heartbeat_seconds`.

`python -m benchmarks.invalidation.light_followers N URL...` with a token in `BODEGA_TOKEN` says `ready` once all are
level, and answers each line of its input with a line of JSON: how late events came since the line before, and when
each follower got which position, if there are few. It ends with its input.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks import open_files
from benchmarks.invalidation.lateness import Lateness

_FEW = 100


@dataclass(eq=False, slots=True)
class Follower:
    """One of them."""

    name: str
    stream: socket.socket
    asking: socket.socket
    at: dict[str, Any] = field(default_factory=dict)
    left: bytes = b""
    answered: bytes = b""
    is_asking: bool = False
    says_at: float = 0.0
    has_more_to_say: bool = False
    has_news: bool = False

    @property
    def position(self) -> int:
        """The last event it has."""
        return int(self.at.get("position", 0))


class Fleet:
    """All followers of this process, on one thread.

    Args:
        urls: Where the control process is reached; the followers take one after the other.
        token: With the scope `edges`.
        n: How many.
    """

    def __init__(self, urls: Sequence[str], token: str, n: int) -> None:
        """Connect and register all of them."""
        self._head = f"Host: control\r\nAuthorization: Bearer {token}\r\n"
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int]] = []
        self._seen: dict[bytes, tuple[int, dict[str, Any], list[int]]] = {}
        self.lateness = Lateness()
        self.n_answers = 0
        self._acknowledge_within = 0.0
        self._every = 1.0
        self.got: list[tuple[int, int, float]] | None = [] if n <= _FEW else None
        with ThreadPoolExecutor(8) as pool:
            # A registration is an event, which is on the disk before it is answered: many go together.
            self.followers = list(pool.map(lambda index: self._begin(index, urls[index % len(urls)]), range(n)))
        for index, follower in enumerate(self.followers):
            for each, is_stream in ((follower.stream, True), (follower.asking, False)):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                each.setblocking(False)
                self._selector.register(each, selectors.EVENT_READ, (index, is_stream))
            self._say_at(index, follower, time.monotonic() + random.random() * self._every)

    @property
    def slowest(self) -> int:
        """The position that all of them have reached."""
        return min(each.position for each in self.followers)

    def turn(self, seconds: float = 0.05) -> None:
        """Read what there is, and say what is due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            at, index = heapq.heappop(self._due)
            follower = self.followers[index]
            if at == follower.says_at:
                self._say(index, follower)
        wait = max(0.0, min(seconds, self._due[0][0] - now)) if self._due else seconds
        for key, _ in self._selector.select(wait):
            index, is_stream = key.data
            follower = self.followers[index]
            if is_stream:
                self._read_stream(index, follower)
            else:
                self._read_answer(index, follower)

    def close(self) -> None:
        """Leave."""
        for each in self.followers:
            each.stream.close()
            each.asking.close()
        self._selector.close()

    def _begin(self, index: int, url: str) -> Follower:
        name = f"light-{index}"
        address = urlsplit(url)
        host = (address.hostname or "", address.port or 80)
        asking = socket.create_connection(host)
        body = json.dumps({"instance": f"instance-{name}", "region": "light"})
        asking.sendall(self._request("PUT", f"/v1/edges/{name}", body))
        answered = b""
        while (answer := _answer(answered)) is None:
            answered += asking.recv(1 << 16)
        if answer[0] != "200":
            raise ConnectionError(f"{name} was refused: {answer[1]!r}")
        stream = socket.create_connection(host)
        stream.sendall(f"GET /v1/journal/stream HTTP/1.1\r\n{self._head}\r\n".encode())
        return Follower(name, stream, asking)

    def _request(self, method: str, path: str, body: str) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _say_at(self, index: int, follower: Follower, at: float) -> None:
        follower.says_at = at
        heapq.heappush(self._due, (at, index))

    def _say(self, index: int, follower: Follower) -> None:
        if follower.is_asking:
            # One question at a time: it is said once the answer is there.
            follower.has_more_to_say = True
            return
        follower.is_asking, follower.has_more_to_say, follower.has_news = True, False, False
        body = json.dumps({"instance": f"instance-{follower.name}", "at": follower.at or None})
        follower.asking.send(self._request("POST", f"/v1/edges/{follower.name}/heartbeat", body))
        self._say_at(index, follower, time.monotonic() + self._every)

    def _read_answer(self, index: int, follower: Follower) -> None:
        data = follower.asking.recv(1 << 16)
        if not data:
            raise ConnectionError(f"{follower.name} was cut off")
        follower.answered += data
        answer = _answer(follower.answered)
        if answer is None:
            return
        follower.answered = b""
        status, body = answer
        if status != "200":
            raise ConnectionError(f"{follower.name} was answered {status}: {body[:300]!r}")
        self.n_answers += 1
        follower.is_asking = False
        if self.n_answers % 100 == 1:
            heard = json.loads(body)
            self._acknowledge_within = heard["acknowledge_within_ms"] / 1000
            self._every = heard["heartbeat_seconds"]
        if follower.has_more_to_say:
            self._say(index, follower)

    def _read_stream(self, index: int, follower: Follower) -> None:
        data = follower.stream.recv(1 << 20)
        if not data:
            raise ConnectionError(f"the stream of {follower.name} has ended")
        data = follower.left + data
        while True:
            start, end, rest = data.partition(b"\r\n")
            if start.startswith(b"HTTP/1.1"):
                if not start.startswith(b"HTTP/1.1 200"):
                    raise ConnectionError(f"{follower.name}: {data[:500]!r}")
                _, end, rest = data.partition(b"\r\n\r\n")
                if not end:
                    break
                data = rest
                continue
            if not end:
                break
            # Each line is a chunk of its own, and begins with its length.
            length = int(start, 16)
            if len(rest) < length + 2:
                break
            self._take(index, follower, rest[:length])
            data = rest[length + 2 :]
        follower.left = data

    def _take(self, index: int, follower: Follower, line: bytes) -> None:
        seen = self._seen.get(line)
        if seen is None:
            seen = self._look(line)
        after, at, times = seen
        if not times:
            if not follower.at:
                follower.at = at
            return
        if after > follower.position:
            raise AssertionError(f"{follower.name} is at {follower.position} and was sent what comes after {after}")
        if at["position"] <= follower.position:
            return
        now_ms = time.time() * 1000
        self.lateness.add(now_ms - times[0], len(times))
        if self.got is not None:
            self.got.append((index, at["position"], time.monotonic()))
        follower.at = at
        if not follower.has_news:
            # What comes until then is said with it.
            follower.has_news = True
            says_at = time.monotonic() + random.random() * self._acknowledge_within
            self._say_at(index, follower, min(follower.says_at, says_at))

    def _look(self, line: bytes) -> tuple[int, dict[str, Any], list[int]]:
        said = json.loads(line)
        if said["kind"] == "batch":
            events = said["events"]
            at = {"journal": said["journal"], "epoch": said["epoch"], "position": events[-1]["position"]}
            times = [event["time_ms"] for event in events if event["type"] == "invalidation.requested"] or [
                events[0]["time_ms"]
            ]
            seen = (said["after"], {**at, "chain": said["chain"]}, times)
        else:
            at = {name: said[name] for name in ("journal", "epoch", "position", "chain")}
            seen = (said["position"], at, [])
        # The same bytes come to all of them.
        if len(self._seen) > 64:
            self._seen.pop(next(iter(self._seen)))
        self._seen[line] = seen
        return seen


def _answer(data: bytes) -> tuple[str, bytes] | None:
    """Return status and body of a whole answer."""
    head, end, body = data.partition(b"\r\n\r\n")
    _, _, after = head.lower().partition(b"content-length: ")
    if not end or len(body) < int(after.partition(b"\r\n")[0]):
        return None
    return head.split(b" ", 2)[1].decode(), body


def main() -> None:
    """Follow until the input ends."""
    n, urls = int(sys.argv[1]), sys.argv[2:]
    open_files.raise_limit()
    fleet = Fleet(urls, os.environ["BODEGA_TOKEN"], n)
    fleet.turn(0)
    while not all(each.at for each in fleet.followers):
        fleet.turn()
    print("ready", flush=True)
    os.set_blocking(0, False)
    began = time.process_time()
    while True:
        fleet.turn()
        try:
            line = os.read(0, 1 << 16)
        except BlockingIOError:
            continue
        if not line:
            break
        said = {
            **fleet.lateness.take(),
            "slowest": fleet.slowest,
            "n_followers": n,
            "n_answers": fleet.n_answers,
            "cpu_seconds": time.process_time() - began,
            "got": fleet.got,
        }
        fleet.n_answers = 0
        if fleet.got is not None:
            fleet.got = []
        began = time.process_time()
        print(json.dumps(said), flush=True)
    fleet.close()


if __name__ == "__main__":
    main()
