"""Lines and answers, however they are cut, and never without a bound."""

from __future__ import annotations

import http.client
import io
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodega.edge.agent.stream import read_all, read_lines


class _Sent:
    """A socket from which an answer is read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._content))


def answered(pieces: list[bytes], *, is_whole: bool = True) -> http.client.HTTPResponse:
    """Return an answer that was sent by pieces."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces if each)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = http.client.HTTPResponse(_Sent(head + chunks + (b"0\r\n\r\n" if is_whole else b"")))  # type: ignore[arg-type]
    answer.begin()
    return answer


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=20), st.data())
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=10)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    found = read_lines(answered(pieces))
    for line in lines:
        assert next(found) == line + b"\n"
    with pytest.raises(ConnectionError, match="has ended"):
        next(found)


def test_a_line_without_an_end_is_given_up() -> None:
    with pytest.raises(ValueError, match="a line of more than"):
        list(read_lines(answered([b"x" * 1000] * 3000), longest=1 << 20))


def test_an_answer_that_is_too_long_is_given_up() -> None:
    with pytest.raises(ValueError, match="an answer of more than"):
        read_all(answered([b"x" * 1000] * 3000), longest=1 << 20)


def test_an_answer_that_breaks_off_is_none() -> None:
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        read_all(answered([b"{"], is_whole=False))


def test_who_is_silent_for_too_long_is_away() -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n")
        near.settimeout(0.2)
        answer = http.client.HTTPResponse(near)
        answer.begin()
        lines = read_lines(answer)
        assert next(lines) == b"a\n"
        with pytest.raises(TimeoutError):
            next(lines)
        answer.close()
