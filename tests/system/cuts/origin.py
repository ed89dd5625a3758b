"""An origin whose content changes, and says of which version it is."""

from __future__ import annotations

import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATHS = tuple(f"/items/{number}/page" for number in range(12))
HOST = "shop.test"


class Content:
    """Versions of each path, which only grow."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions = dict.fromkeys(PATHS, 1)

    def change(self, *paths: str) -> dict[str, int]:
        """Change some; return their new versions."""
        with self._lock:
            for path in paths:
                self._versions[path] += 1
            return {path: self._versions[path] for path in paths}

    def version(self, path: str) -> int | None:
        """Return what is there now."""
        with self._lock:
            return self._versions.get(path)


class ChangingOrigin:
    """A web server of that content. Now and then it is slow after it has looked: what it says is old by then."""

    def __init__(self) -> None:
        self.content = content = Content()
        chance = random.Random(0)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                version = content.version(self.path)
                if chance.random() < 0.3:
                    time.sleep(chance.uniform(0, 0.05))
                tag = f'"{version}"'
                body = b"" if version is None else str(version).encode()
                is_known = self.headers.get("If-None-Match") == tag
                self.send_response(404 if version is None else 304 if is_known else 200)
                self.send_header("Cache-Control", "max-age=3600")
                self.send_header("ETag", tag)
                self.send_header("Cache-Tag", f"item-{self.path.split('/')[2]}" if version else "none")
                if not is_known:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if not is_known:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Edges may be killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def selectors(paths: tuple[str, ...], chance: random.Random) -> list[str]:
    """Return what selects these paths, in one way or another."""
    if len(paths) == len(PATHS):
        return ["all"]
    found = []
    for path in paths:
        number = path.split("/")[2]
        found.append(
            chance.choice(
                (
                    f"https://{HOST}{path}",
                    f"tag:item-{number}",
                    f"prefix:https://{HOST}/items/{number}/",
                    f"glob:{HOST}/items/{number}/*",
                )
            )
        )
    return found
