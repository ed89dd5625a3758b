"""Questions to a control process by HTTP: one file for retries, limits and refusals.

What may be asked twice is asked again after a cut, for some seconds; everything else fails at once, because it may
have happened.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bodega.errors import ControlNotFound, ControlRefused, Problem

_LEAST_WAIT_SECONDS = 0.1
_MOST_WAIT_SECONDS = 2.0
_FIRST_SECONDS = 1.0
_MOST_BYTES = 64 << 20
_MOST_IDLE = 4


class Connection:
    """Asks one control process. May be used by several threads at once."""

    def __init__(self, url: str, token: str | None, *, timeout_seconds: float, retry_seconds: float) -> None:
        """Keep whom to ask; nothing is asked yet.

        Args:
            url: ``https://host:port``.
            token: Sent with each question.
            timeout_seconds: How long an answer may take.
            retry_seconds: For how long what may be asked twice is asked again.
        """
        self.url = url
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._retry_seconds = retry_seconds
        self._idle: list[http.client.HTTPConnection] = []
        self._has_answered = False

    def ask(
        self, method: str, path: str, said: Mapping[str, Any] | None = None, *, again: bool = False, wait: float = 0.0
    ) -> Any:
        """Ask, and return what was answered.

        Args:
            method: Of HTTP.
            path: With its query.
            said: The body.
            again: Whether it may be asked twice.
            wait: How many seconds longer than usual the answer may take, because that was asked for.

        Raises:
            ControlNotFound: If nobody answers.
            ControlRefused: If it was not done.
        """
        body = None if said is None else json.dumps(said)
        # Where nobody has ever answered, the address is probably wrong: that is told soon.
        retry_seconds = self._retry_seconds if self._has_answered else min(self._retry_seconds, _FIRST_SECONDS)
        ends = time.monotonic() + (retry_seconds if again else 0)
        pause = _LEAST_WAIT_SECONDS
        while True:
            try:
                return self._once(method, path, body, is_idle_used=again, wait=wait)
            except (ControlNotFound, _Later) as error:
                # Not all at the same moment who ask the same process.
                pause_seconds = max(pause, error.after_seconds) if isinstance(error, _Later) else pause
                pause_seconds *= random.uniform(0.8, 1.2)  # noqa: S311 - Nobody has to be surprised by it.
                if time.monotonic() + pause_seconds > ends:
                    raise error.refused if isinstance(error, _Later) else error from None
                time.sleep(pause_seconds)
                pause = min(2 * pause, _MOST_WAIT_SECONDS)

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _once(self, method: str, path: str, body: str | None, *, is_idle_used: bool, wait: float) -> Any:
        # One that was left idle may have been closed meanwhile: nothing goes over it that must not be asked twice.
        connection = self._taken() if is_idle_used else None
        connection = connection or self._connect()
        headers = {"Accept": "application/json, text/plain", "User-Agent": "bodega"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.timeout = self._timeout_seconds + wait
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read(_MOST_BYTES)
            is_whole = answer.isclosed()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            why = str(error) or type(error).__name__
            raise ControlNotFound(
                f"no control process answers at {self.url}: {why}",
                url=self.url,
                hint="`bodega control` starts one; `--control URL` or BODEGA_CONTROL name another",
            ) from error
        self._has_answered = True
        if is_whole and not answer.will_close and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        if not is_whole:
            raise ControlRefused(f"the answer of {self.url} is larger than {_MOST_BYTES:,} bytes")
        return _read(self.url, answer, content)

    def _taken(self) -> http.client.HTTPConnection | None:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return None

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        host = address.hostname or ""
        if address.scheme == "https":
            return http.client.HTTPSConnection(host, address.port, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, address.port)


class _Later(Exception):
    """It was refused, and may be asked again after a while."""

    def __init__(self, refused: ControlRefused, after_seconds: float) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.after_seconds = after_seconds


def _read(url: str, answer: http.client.HTTPResponse, content: bytes) -> Any:
    is_json = answer.headers.get_content_type() == "application/json"
    if answer.status == http.HTTPStatus.NO_CONTENT:
        return None
    if answer.status < http.HTTPStatus.MULTIPLE_CHOICES:
        try:
            return json.loads(content) if is_json else content.decode()
        except ValueError as error:
            raise ControlRefused(f"what {url} answered cannot be read: {error}", status=answer.status) from None
    refused = _refused(url, answer.status, content)
    if answer.status in (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE):
        after = answer.headers.get("Retry-After", "")
        raise _Later(refused, float(after) if after.isdecimal() else 0.0)
    raise refused


def _refused(url: str, status: int, content: bytes) -> ControlRefused:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        said = json.loads(content)
        problems = [
            Problem(
                str(each["what"]),
                str(each.get("hint", "")),
                tuple(each.get("path") or ((each["where"],) if each.get("where") else ())),
                each.get("file"),
                each.get("line"),
            )
            for each in said.get("problems", ())
        ]
        return ControlRefused(str(said["error"]), status=status, hint=str(said.get("hint", "")), problems=problems)
    return ControlRefused(f"{url} answered {status}", status=status, hint="is it a control process?")
