"""Ranges over real sockets, asked for by curl and read by a parser that is not ours."""

from __future__ import annotations

import email.policy
import shutil
import subprocess
from email.parser import BytesParser

import pytest
from tests.integration.conftest import KEPT, Serve
from tests.integration.wire import get

from bodega.edge import EdgeServer
from bodega.testing import Answer, Origin, Received

BODY = bytes(range(256)) * 8192
"""2 MiB: more than lies beside its head, and more than one slice."""

LARGE = bytes(range(256)) * 32768
"""8 MiB: its end is far from its beginning."""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")


def curl(edge: EdgeServer, ranges: str, *options: str) -> tuple[int, bytes, bytes]:
    """Ask for ranges of `/a`; the status, the field lines and the body."""
    command = ["curl", "--silent", "--show-error", "--include", "--range", ranges, *options, f"{edge.url}/a"]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    head, body = answer.split(b"\r\n\r\n", 1)
    status_line, fields = head.split(b"\r\n", 1)
    return int(status_line.split()[1]), fields, body


def parts(fields: bytes, body: bytes) -> list[tuple[str, str, bytes]]:
    """Type, place and bytes of each part."""
    framing = b"\r\n".join(line for line in fields.split(b"\r\n") if line.lower().startswith(b"content-type:"))
    message = BytesParser(policy=email.policy.HTTP).parsebytes(framing + b"\r\n\r\n" + body)
    assert message.get_content_type() == "multipart/byteranges"
    assert not message.defects
    found = []
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((part.get_content_type(), part["Content-Range"], content))
    return found


@pytest.fixture
def edge(serve: Serve, origin: Origin) -> EdgeServer:
    headers = {**KEPT, "Content-Type": "application/octet-stream", "ETag": '"a"'}
    origin.on("/a", Answer(BODY, headers=headers))
    return serve(origin)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("1048570-1048580", 1_048_570, 1_048_580),
        ("2097000-", 2_097_000, 2_097_151),
        ("-5", 2_097_147, 2_097_151),
    ],
)
def test_one_range_is_a_part_of_the_body(edge: EdgeServer, asked: str, first: int, last: int) -> None:
    for _ in range(2):
        status, fields, body = curl(edge, asked)
        assert status == 206
        assert f"Content-Range: bytes {first}-{last}/{len(BODY)}".encode() in fields
        assert body == BODY[first : last + 1]


def test_several_ranges_are_parts_that_any_parser_reads(edge: EdgeServer, origin: Origin) -> None:
    boundaries = set()
    # The first answer is cut from the fill, the second from the store.
    for _ in range(2):
        status, fields, body = curl(edge, "97-122,1048500-1048600,65-90")
        assert status == 206
        assert f"Content-Length: {len(body)}".encode() in fields
        boundaries.add(fields.split(b"boundary=")[1].split(b"\r\n")[0])
        kind = "application/octet-stream"
        assert parts(fields, body) == [
            (kind, f"bytes {first}-{last}/{len(BODY)}", BODY[first : last + 1])
            for first, last in [(97, 122), (1_048_500, 1_048_600), (65, 90)]
        ]
    assert len(boundaries) == 2
    assert origin.n_requests == 1


def test_several_ranges_under_a_condition(edge: EdgeServer) -> None:
    assert curl(edge, "0-1,5-6", "--header", 'If-Range: "a"')[0] == 206
    status, _, body = curl(edge, "0-1,5-6", "--header", 'If-Range: "b"')
    assert (status, body) == (200, BODY)
    status, fields, body = curl(edge, "2097152-,9999999-")
    assert (status, body) == (416, b"")
    assert f"Content-Range: bytes */{len(BODY)}".encode() in fields


def ranges_of_a(request: Received) -> Answer:
    """Answer as a web server does that knows ranges."""
    headers = {**KEPT, "Content-Type": "application/octet-stream", "ETag": '"a"'}
    asked = request.header("Range")
    if asked is None or request.header("If-Range") not in (None, '"a"'):
        return Answer(LARGE, headers=headers)
    first, last = asked.removeprefix("bytes=").split("-")
    start = int(first) if first else len(LARGE) - int(last)
    end = int(last) if first and last else len(LARGE) - 1
    headers["Content-Range"] = f"bytes {start}-{end}/{len(LARGE)}"
    return Answer(LARGE[start : end + 1], status=206, headers=headers)


def test_parts_become_the_whole(serve: Serve, origin: Origin) -> None:
    origin.on("/a", ranges_of_a)
    edge = serve(origin)
    for asked, first in [("8000000-", 8_000_000), ("-100", len(LARGE) - 100), ("7000000-", 7_000_000)]:
        status, _, body = curl(edge, asked)
        assert (status, body) == (206, LARGE[first:])
    status, fields, body = curl(edge, "7999990-8000009")
    assert (status, body) == (206, LARGE[7_999_990:8_000_010])
    assert b"; hit" in fields
    whole = get(edge.url, "/a", host=edge.url.removeprefix("http://"))
    assert (whole.status, whole.body) == (200, LARGE)
    assert get(edge.url, "/a", host=edge.url.removeprefix("http://")).is_hit
    assert [request.header("Range") for request in origin.requests] == [
        "bytes=8000000-",
        "bytes=7000000-7999999",
        "bytes=0-6999999",
    ]
    assert [request.header("If-Range") for request in origin.requests] == [None, '"a"', '"a"']
